//! A broker on a simulated host, and the ways in which it ends.

use std::rc::Rc;
use std::time::Duration;

use ringlog::client::{ClientError, Cluster, ConnectOptions, HostPort};
use ringlog::config::Config;
use ringlog::io::Signal;
use ringlog::io::sim::{Faults, HostId, Outcome, Simulation};
use ringlog::server::Broker;
use tracing_subscriber::EnvFilter;

const PORT: u16 = 9092;
/// Virtual time that a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Virtual time that a client may take to find something out: it tries again under whatever faults the scenario has.
const ASK_PATIENCE: Duration = Duration::from_secs(600);

/// One node and the world around it.
pub struct Setup {
    pub sim: Rc<Simulation>,
    pub host: HostId,
    settings: Vec<String>,
    broker: Option<Broker>,
}

impl Setup {
    /// A world with one machine of two CPUs that a broker is to run on.
    pub fn new(seed: u64, faults: Faults, settings: &[&str]) -> Setup {
        if std::env::var_os("RUST_LOG").is_some() {
            let _ = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::from_default_env())
                .try_init();
        }
        Setup::on(Rc::new(Simulation::new(seed, faults)), settings)
    }

    /// Another machine with a broker of its own in the same world.
    pub fn beside(&self, settings: &[&str]) -> Setup {
        Setup::on(self.sim.clone(), settings)
    }

    fn on(sim: Rc<Simulation>, settings: &[&str]) -> Setup {
        let host = sim.add_host(2);
        let mut all = vec![
            format!("listeners=PLAINTEXT://{}:{PORT}", sim.address(host)),
            "log.dirs=/data".to_string(),
        ];
        all.extend(settings.iter().map(|setting| setting.to_string()));
        Setup {
            sim,
            host,
            settings: all,
            broker: None,
        }
    }

    pub fn bootstrap(&self) -> HostPort {
        HostPort {
            host: self.sim.address(self.host).to_string(),
            port: PORT,
        }
    }

    /// Starts the broker. It may take a while to listen.
    pub fn start(&mut self) {
        assert!(self.broker.is_none(), "it runs already");
        let config = Config::parse(None, &self.settings).expect("good settings").0;
        let broker = self.sim.on(self.host, || Broker::start(config));
        self.broker = Some(broker.expect("the broker starts"));
    }

    /// Panics with the broker's own reason when it has ended by itself.
    pub fn expect_running(&mut self) {
        if self
            .broker
            .as_ref()
            .is_some_and(|broker| broker.cores().has_ended())
        {
            let broker = self.broker.take().expect("just looked");
            let outcome = self.sim.on(self.host, || broker.join());
            panic!("the broker ended by itself: {outcome:?}");
        }
    }

    /// SIGTERM, and the end of the process.
    pub fn stop(&mut self) {
        self.order_stop();
        self.expect_stopped();
    }

    /// SIGTERM alone.
    pub fn order_stop(&self) {
        let broker = self.broker.as_ref().expect("it runs");
        broker.cores().signal(Signal::Stop);
    }

    /// Whether every core has ended.
    pub fn has_ended(&self) -> bool {
        let broker = self.broker.as_ref().expect("it was started");
        broker.cores().has_ended()
    }

    /// Waits for the end of a broker that was told to stop.
    pub fn expect_stopped(&mut self) {
        let broker = self.broker.take().expect("it runs");
        let ended = self.sim.pass_until(PATIENCE, || broker.cores().has_ended());
        assert!(ended, "the broker did not stop");
        let outcome = self.sim.on(self.host, || broker.join());
        outcome.expect("a clean stop");
    }

    /// Waits for the end of a broker that can't go on; its reason.
    pub fn expect_ended(&mut self) -> String {
        let broker = self.broker.take().expect("it runs");
        let ended = self.sim.pass_until(PATIENCE, || broker.cores().has_ended());
        assert!(ended, "the broker did not end");
        let outcome = self.sim.on(self.host, || broker.join());
        outcome.expect_err("no stop was asked for")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.sim.kill(self.host);
        self.broker = None;
    }

    /// The machine loses its power, and gets it back.
    pub fn crash(&mut self) {
        self.sim.crash(self.host);
        self.broker = None;
        self.sim.power_on(self.host);
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // Its tasks go first: they still use what the broker holds.
        if self.broker.is_some() {
            self.sim.kill(self.host);
        }
    }
}

/// What a client finds out on a host of its own.
pub fn ask<T: Send + 'static, Fut: Future<Output = T> + 'static>(
    setup: &Setup,
    program: impl FnOnce(HostPort) -> Fut + Send + 'static,
) -> T {
    let client = setup.sim.add_host(1);
    let bootstrap = setup.bootstrap();
    let outcome: Outcome<T> = setup.sim.run(client, move || program(bootstrap));
    let has_ended = setup.sim.pass_until(ASK_PATIENCE, || outcome.has_ended());
    assert!(has_ended, "no answer");
    outcome.take().expect("it ended")
}

/// A client's way to the broker; tries for as long as it takes.
pub async fn connect(bootstrap: HostPort) -> Cluster {
    connect_with(bootstrap, Duration::from_secs(5)).await
}

/// As [`connect`], for one that waits so long for an answer.
pub async fn connect_with(bootstrap: HostPort, request_timeout: Duration) -> Cluster {
    loop {
        let options = ConnectOptions {
            connect_timeout: Duration::from_secs(2),
            request_timeout,
            ..ConnectOptions::default()
        };
        match Cluster::connect(bootstrap.clone(), options).await {
            Ok(cluster) => return cluster,
            Err(error) => again(error).await,
        }
    }
}

/// Waits a little after a failure that may pass; panics after another.
pub async fn again(error: ClientError) {
    assert!(error.is_retriable(), "{error}");
    ringlog::io::sleep(Duration::from_millis(50)).await;
}
