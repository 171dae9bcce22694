//! A TCP proxy in front of a broker that does to connections what networks do.
//!
//! It knows just enough of Kafka's protocol to tell one frame from the next and produce requests from others: four bytes
//! of length, then, in a request, the API's number, its version and the number that its response repeats.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
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
const CREATE_TOPICS: i16 = 19;

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
    /// The same with a request for a new topic; all others are produce requests.
    HoldCreation,
}

impl Trap {
    /// Number of the API whose requests it is for.
    fn api(self) -> i16 {
        match self {
            Self::CutBeforeResponse | Self::DelayResponse(_) | Self::DelayRequest(_) | Self::HoldRequest => PRODUCE,
            Self::HoldCreation => CREATE_TOPICS,
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
    /// Of those, the ones that the broker has answered.
    answered: AtomicUsize,
    /// Cancelled to cut every connection, then made anew.
    connections: Mutex<CancellationToken>,
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
            answered: AtomicUsize::new(0),
            connections: Mutex::default(),
        };
        let runtime = runtime.expect("a runtime");
        let proxy = Self { runtime, shared: Arc::new(shared), port, listening: Mutex::default() };
        proxy.accept();
        proxy
    }

    /// Takes connections again.
    pub fn accept(&self) {
        let listener = self.runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))).expect("a free port");
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

    /// Requests that were caught.
    pub fn sprung(&self) -> usize {
        self.shared.sprung.load(Ordering::SeqCst)
    }

    /// Lets the request go on that has been held for longest.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
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
    let caught = Arc::new(Mutex::new(None));
    let up = requests(Arc::clone(&shared), from_client, to_broker, Arc::clone(&caught));
    let down = responses(shared, from_broker, to_client, caught, cut.clone());
    let both = async { tokio::join!(up, down) };
    tokio::select! {
        () = cut.cancelled() => {}
        _ = both => {}
    }
}

/// A response to be caught: its number, and what becomes of it.
type Caught = Arc<Mutex<Option<([u8; 4], Trap)>>>;

async fn requests(shared: Arc<Shared>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, caught: Caught) -> Option<()> {
    loop {
        let frame = frame(&mut from).await?;
        under(&shared).await;
        match shared.spring(&frame) {
            Some(Trap::DelayRequest(time)) => sleep(time).await,
            Some(trap) => {
                if matches!(trap, Trap::HoldRequest | Trap::HoldCreation) {
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
    cut: CancellationToken,
) -> Option<()> {
    loop {
        let frame = frame(&mut from).await?;
        under(&shared).await;
        let trap = caught.lock().expect("a lock").take_if(|(number, _)| frame[4..8] == *number);
        match trap {
            Some((_, Trap::DelayResponse(time))) => sleep(time).await,
            Some((_, Trap::HoldRequest | Trap::HoldCreation)) => {
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
        let names = |topic: &str| frame.windows(topic.len()).take(200).any(|window| window == topic.as_bytes());
        let (_, trap) = self.trap.lock().expect("a lock").take_if(|(topic, trap)| is_for(*trap) && names(topic))?;
        self.sprung.fetch_add(1, Ordering::SeqCst);
        Some(trap)
    }
}
