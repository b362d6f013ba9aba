//! Addresses and options of sockets, as system calls want them.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The addresses that a host name or a written address stands for, in the order of the system's resolver. Blocks the core while
/// the resolver asks, so it is for clients and for start-up.
///
/// # Errors
/// The resolver's: no such name, no answer.
pub fn resolve_now(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// A new TCP socket of `address`'s family, with TCP_NODELAY.
pub(super) fn new_socket(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    // SAFETY: plain numbers.
    let socket = succeeded(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: a new descriptor, which nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    set_no_delay(&socket)?;
    Ok(socket)
}

pub(super) fn set_no_delay(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY)
}

/// Switches an option on.
pub(super) fn set_option(socket: &OwnedFd, level: i32, option: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length name `on`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as u32,
        )
    };
    succeeded(result).map(drop)
}

pub(super) fn bind(socket: &OwnedFd, address: &SocketAddr) -> io::Result<()> {
    let (storage, len) = to_system(address);
    // SAFETY: the pointer names `len` valid bytes.
    succeeded(unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), len) }).map(drop)
}

pub(super) fn local_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    // SAFETY: `getsockname` fills at most the room that it is given.
    from_system(|storage, len| unsafe { libc::getsockname(socket.as_raw_fd(), storage, len) })
}

pub(super) fn peer_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    // SAFETY: `getpeername` fills at most the room that it is given.
    from_system(|storage, len| unsafe { libc::getpeername(socket.as_raw_fd(), storage, len) })
}

/// The system's form of `address`, and how many bytes of it count.
pub(super) fn to_system(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all-zero bytes are a valid storage.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let at = &raw mut storage;
    match address {
        SocketAddr::V4(v4) => {
            let system = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*v4.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: a storage is large enough and aligned for every kind of address.
            unsafe { at.cast::<libc::sockaddr_in>().write(system) };
            (storage, size_of::<libc::sockaddr_in>() as u32)
        }
        SocketAddr::V6(v6) => {
            let system = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { at.cast::<libc::sockaddr_in6>().write(system) };
            (storage, size_of::<libc::sockaddr_in6>() as u32)
        }
    }
}

fn from_system(
    ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
) -> io::Result<SocketAddr> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as u32;
    succeeded(ask(storage.as_mut_ptr().cast(), &mut len))?;
    // SAFETY: zeroed, and then filled by the system as far as it knew.
    let storage = unsafe { storage.assume_init() };
    let at = &raw const storage;
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which kind of address this is.
            let v4 = unsafe { at.cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { at.cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Ok(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        family => Err(io::Error::other(format!(
            "address family {family} is not of the Internet"
        ))),
    }
}

/// The result of a system call.
pub(super) fn succeeded(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_systems_form() {
        for text in ["127.0.0.1:9092", "[::1]:9092", "[fe80::1%3]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let (system, len) = to_system(&address);
            let back = from_system(|storage, _| {
                // SAFETY: both are storages.
                unsafe { storage.cast::<libc::sockaddr_storage>().write(system) };
                0
            });
            assert_eq!(back.unwrap(), address);
            assert!(len > 0);
        }
    }
}
