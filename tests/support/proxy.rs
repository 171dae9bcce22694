//! A TCP proxy in front of a broker that does to connections what networks do.
//!
//! It knows just enough of Kafka's protocol to tell one frame from the next and produce requests from others: four bytes
//! of length, then, in a request, the API's number, its version and the number that its response repeats.

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Numbers of Kafka's APIs.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const LOGIN: i16 = 17;
const VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
/// The last version of fetches that names topics; Kafka 3.0 knows no later one.
const FETCH_BY_NAME: i16 = 12;
/// Versions of the answer about versions from this one on are compact.
const COMPACT_VERSIONS: i16 = 3;

/// Time within which a port that this process has given up is free.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(10);

/// What becomes of everything that passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LinkCondition {
    /// Passed on at once.
    Clear,
    /// Every frame takes this long, in both directions.
    Slow(Duration),
    /// Nothing arrives; connections stay open, and what was sent arrives when the weather clears.
    BlackHole,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trap {
    /// The broker appends and answers; the connection is cut before the answer arrives.
    CutBeforeResponse,
    /// The answer arrives this much later.
    DelayResponse(Duration),
    /// The request reaches the broker this much later, whether or not the client is still there.
    DelayRequest(Duration),
    /// The request reaches the broker when it is released, whether or not the client is still there.
    HoldRequest,
    /// The request never reaches the broker, and those behind it on its connection when they are let through.
    LoseRequest,
    /// As with `HoldRequest`, a request for a new topic; all others are produce requests.
    HoldCreation,
    /// The same with the first request of a login, which names no topic but the way to log in.
    HoldLogin,
}

impl Trap {
    /// Number of the API whose requests it is for.
    fn api(self) -> i16 {
        match self {
            Self::CutBeforeResponse
            | Self::DelayResponse(_)
            | Self::DelayRequest(_)
            | Self::HoldRequest
            | Self::LoseRequest => PRODUCE,
            Self::HoldCreation => CREATE_TOPICS,
            Self::HoldLogin => LOGIN,
        }
    }
}

/// A running proxy; its connections end with it.
pub struct Proxy {
    runtime: Runtime,
    shared: Arc<Shared>,
    port: u16,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    broker: SocketAddr,
    weather: watch::Sender<LinkCondition>,
    /// For the next request of its kind whose bytes hold this topic's name.
    trap: Mutex<Option<(String, Trap)>>,
    sprung: AtomicUsize,
    /// A permit for each request that is held and may go on.
    released: Semaphore,
    /// A permit for each connection on which a request was lost and that may go on.
    let_through: Semaphore,
    /// Of those, the ones that the broker has answered.
    answered: AtomicUsize,
    /// Answers about a topic that are as they were.
    outdated: Mutex<Option<Outdated>>,
    /// Set where no client is to know that topics can be fetched by their identity.
    by_name: AtomicBool,
    /// Bytes of answers to fetches.
    fetched: AtomicUsize,
    /// Cancelled to cut every connection, then made anew.
    connections: Mutex<CancellationToken>,
}

/// A broker that learns late of a topic.
struct Outdated {
    topic: String,
    /// Number of answers to come that say what the first one of their version said.
    left: usize,
    first: HashMap<i16, Vec<u8>>,
}

impl Proxy {
    /// Passes connections to `port` on to `broker`, both on loopback.
    pub fn start(port: u16, broker: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let shared = Shared {
            broker: (Ipv4Addr::LOCALHOST, broker).into(),
            weather: watch::Sender::new(LinkCondition::Clear),
            trap: Mutex::default(),
            sprung: AtomicUsize::new(0),
            released: Semaphore::new(0),
            let_through: Semaphore::new(0),
            answered: AtomicUsize::new(0),
            outdated: Mutex::default(),
            by_name: AtomicBool::new(false),
            fetched: AtomicUsize::new(0),
            connections: Mutex::default(),
        };
        let runtime = runtime.expect("a runtime");
        let proxy = Self { runtime, shared: Arc::new(shared), port, listening: Mutex::default() };
        proxy.accept();
        proxy
    }

    /// The same, of a broker that knows fetches by the names of topics alone, as Kafka 2.8 and 3.0 do.
    pub fn by_name(port: u16, broker: u16) -> Self {
        let proxy = Self::start(port, broker);
        proxy.shared.by_name.store(true, Ordering::SeqCst);
        proxy
    }

    /// Takes connections again.
    pub fn accept(&self) {
        let listener = self.runtime.block_on(async {
            let deadline = Instant::now() + PORT_FREE_WITHIN;
            loop {
                match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await {
                    // A process that another test is starting has a copy of the listener of before until it runs its
                    // own program.
                    Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                        sleep(Duration::from_millis(5)).await;
                    }
                    bound => break bound.expect("a free port"),
                }
            }
        });
        let shared = Arc::clone(&self.shared);
        let serve = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(Arc::clone(&shared), client));
            }
        };
        *self.listening.lock().expect("a lock") = Some(self.runtime.spawn(serve));
    }

    /// Cuts every connection and refuses new ones.
    pub fn refuse(&self) {
        if let Some(listening) = self.listening.lock().expect("a lock").take() {
            listening.abort();
            // Aborted: that it ended is all there is to know.
            let _ = self.runtime.block_on(listening);
        }
        self.cut_all();
    }

    /// Cuts every connection; new ones are taken.
    pub fn cut_all(&self) {
        std::mem::take(&mut *self.shared.connections.lock().expect("a lock")).cancel();
    }

    pub fn weather(&self, weather: LinkCondition) {
        self.shared.weather.send_replace(weather);
    }

    /// Lays a trap for the next request of its kind about `topic`.
    pub fn lay(&self, topic: &str, trap: Trap) {
        *self.shared.trap.lock().expect("a lock") = Some((topic.to_owned(), trap));
    }

    /// Has as many requests for metadata of `topic` answered with what the next one is answered.
    pub fn outdate(&self, topic: &str, left: usize) {
        *self.shared.outdated.lock().expect("a lock") =
            Some(Outdated { topic: topic.to_owned(), left, first: HashMap::new() });
    }

    /// Requests that were caught.
    pub fn sprung(&self) -> usize {
        self.shared.sprung.load(Ordering::SeqCst)
    }

    /// Lets the request go on that has been held for longest.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// Lets through what comes behind a request that was lost.
    pub fn let_through(&self) {
        self.shared.let_through.add_permits(1);
    }

    /// Bytes that fetches have brought.
    pub fn fetched(&self) -> usize {
        self.shared.fetched.load(Ordering::SeqCst)
    }

    /// Requests that were held, then released, and that the broker has answered.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }
}

/// One connection, until either side is done or all are cut.
async fn connection(shared: Arc<Shared>, client: TcpStream) {
    let Ok(broker) = TcpStream::connect(shared.broker).await else { return };
    // Only speed: a proxy must not add delays of its own.
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let cut = shared.connections.lock().expect("a lock").child_token();
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let (caught, asked) = (Caught::default(), Asked::default());
    let up = requests(Arc::clone(&shared), from_client, to_broker, Arc::clone(&caught), Arc::clone(&asked));
    let down = responses(shared, from_broker, to_client, caught, asked, cut.clone());
    let both = async { tokio::join!(up, down) };
    tokio::select! {
        () = cut.cancelled() => {}
        _ = both => {}
    }
}

/// A response to be caught: its number, and what becomes of it.
type Caught = Arc<Mutex<Option<([u8; 4], Trap)>>>;

/// Requests that are not answered yet, in order: the number of the API, its version, and `true` where the answer may be
/// outdated.
type Asked = Arc<Mutex<VecDeque<(i16, i16, bool)>>>;

async fn requests(
    shared: Arc<Shared>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    caught: Caught,
    asked: Asked,
) -> Option<()> {
    loop {
        let frame = frame(&mut from).await?;
        let number = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
        let (api, version) = (number(4)?, number(6)?);
        let is_hidden = shared.by_name.load(Ordering::SeqCst) && api == FETCH && version > FETCH_BY_NAME;
        assert!(!is_hidden, "a fetch of version {version}, which nobody was told of");
        asked.lock().expect("a lock").push_back((api, version, api == METADATA && shared.outdates(&frame)));
        under(&shared).await;
        match shared.spring(&frame) {
            Some(Trap::DelayRequest(time)) => sleep(time).await,
            Some(Trap::LoseRequest) => {
                asked.lock().expect("a lock").pop_back();
                shared.let_through.acquire().await.ok()?.forget();
                continue;
            }
            Some(trap) => {
                if matches!(trap, Trap::HoldRequest | Trap::HoldCreation | Trap::HoldLogin) {
                    shared.released.acquire().await.ok()?.forget();
                }
                *caught.lock().expect("a lock") = Some((frame[8..12].try_into().ok()?, trap));
            }
            None => {}
        }
        to.write_all(&frame).await.ok()?;
    }
}

async fn responses(
    shared: Arc<Shared>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    caught: Caught,
    asked: Asked,
    cut: CancellationToken,
) -> Option<()> {
    loop {
        let mut frame = frame(&mut from).await?;
        let (api, version, may_be_outdated) = asked.lock().expect("a lock").pop_front()?;
        if api == FETCH {
            shared.fetched.fetch_add(frame.len(), Ordering::SeqCst);
        }
        if api == VERSIONS && shared.by_name.load(Ordering::SeqCst) {
            hide_identities(&mut frame, version);
        }
        if may_be_outdated {
            shared.answer_as_before(&mut frame, version);
        }
        under(&shared).await;
        let trap = caught.lock().expect("a lock").take_if(|(number, _)| frame[4..8] == *number);
        match trap {
            Some((_, Trap::DelayResponse(time))) => sleep(time).await,
            Some((_, Trap::HoldRequest | Trap::HoldCreation | Trap::HoldLogin)) => {
                shared.answered.fetch_add(1, Ordering::SeqCst);
            }
            Some(_) => {
                cut.cancel();
                return None;
            }
            None => {}
        }
        to.write_all(&frame).await.ok()?;
    }
}

/// The next frame, with its length.
async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes(frame[..4].try_into().ok()?) as usize;
    frame.resize(4 + length, 0);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

/// Lowers, in an answer about versions, the newest one of fetches. Behind length, number and error code come the number of
/// APIs and, of each, its number, its oldest and its newest version.
fn hide_identities(frame: &mut [u8], version: i16) {
    // In the compact form both have a byte more to skip: the number of APIs is below 127, or in two bytes, and no tags follow.
    let (first, stride) = match version >= COMPACT_VERSIONS {
        true => (if frame[10] & 0x80 == 0 { 11 } else { 12 }, 7),
        false => (14, 6),
    };
    for entry in frame[first..].chunks_exact_mut(stride) {
        if entry[..2] == FETCH.to_be_bytes() {
            entry[4..6].copy_from_slice(&FETCH_BY_NAME.to_be_bytes());
            return;
        }
    }
    panic!("no fetches among the versions of {frame:?}");
}

/// Waits as the weather demands.
async fn under(shared: &Shared) {
    let now = *shared.weather.borrow();
    match now {
        LinkCondition::Clear => {}
        LinkCondition::Slow(time) => sleep(time).await,
        LinkCondition::BlackHole => {
            // The sender lives as long as the proxy.
            let _ = shared.weather.subscribe().wait_for(|weather| *weather != LinkCondition::BlackHole).await;
        }
    }
}

impl Shared {
    /// The trap, if this request walks into it.
    fn spring(&self, frame: &[u8]) -> Option<Trap> {
        let is_for = |trap: Trap| frame.get(4..6) == Some(&trap.api().to_be_bytes()[..]);
        let mut laid = self.trap.lock().expect("a lock");
        let (_, trap) = laid.take_if(|(topic, trap)| is_for(*trap) && names(frame, topic))?;
        self.sprung.fetch_add(1, Ordering::SeqCst);
        Some(trap)
    }

    /// Returns true where the answer to this request may be outdated.
    fn outdates(&self, frame: &[u8]) -> bool {
        self.outdated.lock().expect("a lock").as_ref().is_some_and(|outdated| names(frame, &outdated.topic))
    }

    /// Keeps the first answer, and gives it in place of those that follow; the number that an answer repeats stays.
    fn answer_as_before(&self, frame: &mut Vec<u8>, version: i16) {
        let mut outdated = self.outdated.lock().expect("a lock");
        let Some(outdated) = outdated.as_mut() else { return };
        let first = outdated.first.entry(version).or_insert_with(|| frame.clone());
        if outdated.left > 0 && first[8..] != frame[8..] {
            outdated.left -= 1;
            let number: [u8; 4] = frame[4..8].try_into().expect("four bytes");
            frame.clone_from(first);
            frame[4..8].copy_from_slice(&number);
        }
    }
}

/// Returns true where a request is about a topic.
fn names(frame: &[u8], topic: &str) -> bool {
    frame.windows(topic.len()).take(200).any(|window| window == topic.as_bytes())
}
