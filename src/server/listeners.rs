//! Binding the configured listeners, and what clients are told of them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::api::Role;
use crate::config::{Config, ListenerConfig};
use crate::io::fs;
use crate::io::net::{self, Bound};

/// Linux keeps the host's name here; at most 64 bytes (`__NEW_UTS_LEN`).
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";
const HOST_NAME_BYTES_MAX: usize = 256;

/// The bound listeners.
pub struct BoundListeners {
    /// For each core, its own sockets.
    pub by_core: Vec<Vec<BoundListener>>,
    /// What clients are told; a port 0 is replaced by the one that was bound.
    pub advertised: Vec<ListenerConfig>,
    /// The same of the controller's listeners.
    pub controllers: Vec<ListenerConfig>,
}

/// One core's socket of a listener.
pub struct BoundListener {
    /// The listener's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The socket.
    pub bound: Bound,
}

/// Binds every listener once per core.
///
/// # Errors
/// A text that names the setting, the listener and what was wrong.
pub fn bind(config: &Config, cores: usize) -> Result<BoundListeners, String> {
    let mut by_core: Vec<Vec<BoundListener>> = (0..cores).map(|_| Vec::new()).collect();
    let mut advertised = config.advertised_listeners(&host_name());
    let mut controllers = config.advertised_controllers(&host_name());
    let brokers = config.listeners().iter().map(|listener| (listener, Role::Broker));
    let of_controller = config.controller_listeners().iter();
    let of_controller = of_controller.map(|listener| (listener, Role::Controller));
    for (listener, role) in brokers.chain(of_controller) {
        let address = resolve(&listener.host, listener.port)
            .map_err(|error| format!("listeners: {}: {error}", listener.name))?;
        let bound = net::bind(address, cores).map_err(|error| {
            format!(
                "listeners: cannot listen on {}://{address}: {error}",
                listener.name
            )
        })?;
        let told = advertised
            .iter_mut()
            .chain(&mut controllers)
            .find(|told| told.name == listener.name && told.port == 0);
        if let (Some(told), Some(first)) = (told, bound.first()) {
            told.port = first.local_addr().port();
        }
        for (core, bound) in by_core.iter_mut().zip(bound) {
            let name = listener.name.clone();
            core.push(BoundListener { name, role, bound });
        }
    }
    Ok(BoundListeners {
        by_core,
        advertised,
        controllers,
    })
}

/// The address to bind; an empty host means every one, as in Kafka.
fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses
        .next()
        .ok_or_else(|| std::io::Error::other(format!("{host} has no address")))
}

/// What this host calls itself.
pub fn host_name() -> String {
    let name = fs::read_whole_now(Path::new(HOST_NAME_FILE), HOST_NAME_BYTES_MAX).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim().to_string();
    if name.is_empty() {
        "localhost".to_string()
    } else {
        name
    }
}
