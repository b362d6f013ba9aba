//! One run: prepare the topic, send on schedule, receive, until everything sent has arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use super::Args;
use super::broker::{self, ProduceTemplate};
use super::host::{self, Snapshot, Usage};
use super::socket::Socket;

/// How long to wait for an answer before the run begins: a topic's creation may flush a disk.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long after the last send the last message may take to arrive.
const DRAIN: Duration = Duration::from_secs(10);
/// Sends in one go before the sockets are looked at again, when behind schedule.
const BURST_MAX: u32 = 64;

/// What a run found. Times in nanoseconds.
pub struct RunResult {
    /// From the intended send time to the arrival at the consumer.
    pub delivered: Histogram<u64>,
    /// From the intended send time to the produce answer; empty with acks 0.
    pub acknowledged: Histogram<u64>,
    /// From the intended send time to the send itself: what this program, not the broker, was late.
    pub send_delay: Histogram<u64>,
    /// Messages sent while measuring, and how many of all messages came.
    pub sent: u64,
    pub arrived: u64,
    pub lost: u64,
    /// From the first to the last arrival counted.
    pub arriving: Duration,
    pub usage: Usage,
}

pub fn run(args: &Args) -> Result<RunResult, String> {
    if let Some(cpu) = args.cpu {
        host::pin(cpu)?;
    }
    host::exact_timers();
    if args.first {
        host::go_first()?;
    }
    let mut producer = Socket::connect(args.bootstrap)?;
    let mut consumer = Socket::connect(args.bootstrap)?;
    let offset = prepare_topic(&mut producer, &args.topic, &[])?;
    consumer.send(&broker::fetch(&args.topic, offset))?;
    let mut run = Run::new(args, producer, consumer, offset);
    run.go()?;
    Ok(run.result())
}

/// Makes sure that the topic is there, and can be written to; where it ends.
pub fn prepare_topic(socket: &mut Socket, topic: &str, settings: &[(&str, &str)]) -> Result<i64, String> {
    broker::read_create_topic(&socket.ask(&broker::create_topic(topic, settings), PATIENCE)?)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match broker::read_offset(&socket.ask(&broker::end_offset(topic), PATIENCE)?)? {
            Ok(offset) => return Ok(offset),
            Err(error) if Instant::now() > deadline => return Err(format!("ListOffsets: error {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

struct Run<'a> {
    args: &'a Args,
    producer: Socket,
    consumer: Socket,
    template: ProduceTemplate,
    start: Instant,
    /// Wall clock at `start`, in ms since the epoch.
    start_ms: i64,
    fetch_offset: i64,
    warmup_messages: u64,
    all_messages: u64,
    sent: u64,
    arrived: u64,
    next_expected: u64,
    /// Numbers of the messages sent and not yet answered, oldest first.
    unanswered: VecDeque<u64>,
    delivered: Histogram<u64>,
    acknowledged: Histogram<u64>,
    send_delay: Histogram<u64>,
    first_arrival: Option<Instant>,
    last_arrival: Option<Instant>,
    before: Option<Snapshot>,
    usage: Option<Usage>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are valid")
}

impl<'a> Run<'a> {
    fn new(args: &'a Args, producer: Socket, consumer: Socket, fetch_offset: i64) -> Run<'a> {
        let messages = |time: Duration| time.as_secs() * args.rate;
        Run {
            template: ProduceTemplate::new(&args.topic, args.acks, args.size as usize),
            start: Instant::now(),
            start_ms: wall_ms(),
            fetch_offset,
            warmup_messages: messages(args.warmup()),
            all_messages: messages(args.warmup()) + messages(args.measured()),
            sent: 0,
            arrived: 0,
            next_expected: 0,
            unanswered: VecDeque::new(),
            delivered: histogram(),
            acknowledged: histogram(),
            send_delay: histogram(),
            first_arrival: None,
            last_arrival: None,
            before: None,
            usage: None,
            args,
            producer,
            consumer,
        }
    }

    /// When message `number` is to be sent.
    fn due(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.args.rate);
        self.start + Duration::from_nanos(nanos as u64)
    }

    fn go(&mut self) -> Result<(), String> {
        let last_send = self.due(self.all_messages);
        while self.arrived < self.all_messages {
            let now = Instant::now();
            if now > last_send + DRAIN {
                break;
            }
            self.snapshot();
            self.send_due(now)?;
            self.producer.flush()?;
            self.consumer.flush()?;
            let mut received = self.receive_answers()?;
            received |= self.receive_messages()?;
            if self.args.park && !received {
                self.sleep();
            }
        }
        Ok(())
    }

    /// CPU counters cover the measured part only.
    fn snapshot(&mut self) {
        if self.before.is_none() && self.sent >= self.warmup_messages {
            self.before = Some(Snapshot::take(self.args.broker_pid));
        }
        if self.usage.is_none() && self.sent == self.all_messages {
            let before = self.before.as_ref().expect("taken before the last send");
            self.usage = Some(Snapshot::take(self.args.broker_pid).usage_since(before));
        }
    }

    fn send_due(&mut self, now: Instant) -> Result<(), String> {
        for _ in 0..BURST_MAX {
            let number = self.sent;
            let due = self.due(number);
            if number == self.all_messages || due > now {
                break;
            }
            let sent_at = Instant::now();
            let now_ms = self.start_ms + sent_at.duration_since(self.start).as_millis() as i64;
            self.producer.send(self.template.fill(number, now_ms))?;
            self.sent += 1;
            if self.args.acks != 0 {
                self.unanswered.push_back(number);
            }
            if number >= self.warmup_messages {
                self.send_delay
                    .saturating_record(nanos(sent_at.saturating_duration_since(due)));
            }
        }
        Ok(())
    }

    fn receive_answers(&mut self) -> Result<bool, String> {
        if !self.producer.receive()? {
            return Ok(false);
        }
        let now = Instant::now();
        while let Some(answer) = self.producer.frame()? {
            let result = broker::read_produce(answer)?;
            let number = self
                .unanswered
                .pop_front()
                .ok_or("an answer that nothing asked for")?;
            if let Err(error) = result {
                return Err(format!("Produce: error {error} for message {number}"));
            }
            if number >= self.warmup_messages {
                let late = now.saturating_duration_since(self.due(number));
                self.acknowledged.saturating_record(nanos(late));
            }
        }
        Ok(true)
    }

    fn receive_messages(&mut self) -> Result<bool, String> {
        if !self.consumer.receive()? {
            return Ok(false);
        }
        let now = Instant::now();
        let mut numbers = Vec::new();
        let mut answered = false;
        let (mut next_offset, from) = (self.fetch_offset, self.fetch_offset);
        while let Some(answer) = self.consumer.frame()? {
            answered = true;
            let read = broker::read_fetch(answer, |offset, number| {
                if offset >= from {
                    numbers.push(number);
                    next_offset = offset + 1;
                }
            })?;
            read.map_err(|error| format!("Fetch: error {error}"))?;
        }
        if answered {
            // The next fetch leaves before the books are kept: the broker must not wait for them.
            self.fetch_offset = next_offset;
            self.consumer
                .send(&broker::fetch(&self.args.topic, next_offset))?;
        }
        for number in numbers {
            self.arrive(number, now)?;
        }
        Ok(true)
    }

    fn arrive(&mut self, number: u64, now: Instant) -> Result<(), String> {
        if number < self.next_expected {
            return Err(format!("message {number} came twice or out of order"));
        }
        self.next_expected = number + 1;
        self.arrived += 1;
        if number >= self.warmup_messages {
            let late = now.saturating_duration_since(self.due(number));
            self.delivered.saturating_record(nanos(late));
            self.first_arrival.get_or_insert(now);
            self.last_arrival = Some(now);
        }
        Ok(())
    }

    /// Blocks until a socket is ready or the next send is due.
    fn sleep(&mut self) {
        let due = self.due(self.sent.min(self.all_messages));
        let wait = match self.sent < self.all_messages {
            true => due.saturating_duration_since(Instant::now()),
            false => Duration::from_millis(100),
        };
        let events = |socket: &Socket| libc::POLLIN | if socket.has_unsent() { libc::POLLOUT } else { 0 };
        let mut fds = [&self.producer, &self.consumer].map(|socket| libc::pollfd {
            fd: socket.fd(),
            events: events(socket),
            revents: 0,
        });
        let timeout = libc::timespec {
            tv_sec: wait.as_secs() as _,
            tv_nsec: i64::from(wait.subsec_nanos()) as _,
        };
        // SAFETY: the array and the timespec live through the call, and the count is the array's.
        unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as _, &timeout, std::ptr::null()) };
    }

    fn result(self) -> RunResult {
        let now = Snapshot::take(self.args.broker_pid);
        let usage = self
            .usage
            .unwrap_or_else(|| now.usage_since(self.before.as_ref().unwrap_or(&now)));
        let arriving = self.first_arrival.zip(self.last_arrival);
        RunResult {
            delivered: self.delivered,
            acknowledged: self.acknowledged,
            send_delay: self.send_delay,
            sent: self.sent.saturating_sub(self.warmup_messages),
            arrived: self.arrived,
            lost: self.all_messages - self.arrived,
            arriving: arriving.map_or(Duration::ZERO, |(first, last)| last - first),
            usage,
        }
    }
}

/// The wall clock, in ms since the epoch.
pub fn wall_ms() -> i64 {
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    epoch.as_millis() as i64
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}
