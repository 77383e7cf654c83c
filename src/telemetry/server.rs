//! The answers, over HTTP.
//!
//! Nobody is trusted but to be able to connect. A client that says little, or reads slowly, keeps nobody waiting: there
//! is room for [`CONNECTIONS`], and where they are all taken the one that came first makes room, unless it watches or has
//! just come. Whoever takes longer than [`PATIENCE`] for a request, or for a part of an answer, is left. What is kept for one is one
//! answer; what workers say of their own is shared by all who read it, and a [`PIECE`] of it is kept for one.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderValue, ACCEPT, ALLOW, CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;

use super::exposition::{self, Format};
use super::{metrics, Shared};

/// How many may be connected.
const CONNECTIONS: usize = 64;

/// How many of them may watch the stream of events.
const WATCHERS: usize = 16;

/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;

/// How much of an answer is given to a client's connection at once.
const PIECE: usize = 256 * 1024;

/// How long a client may take for the head of a request, and for reading some of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long everybody is heard, however many come.
const HEARING: Duration = Duration::from_millis(10);

/// How long nobody is let in where descriptors or memory are missing.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that clients connect to.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client, whatever it came by.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    async fn accept(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
            Listener::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Lets clients in and answers them, for ever.
pub(super) async fn serve(listener: Listener, shared: Arc<Shared>, news: watch::Receiver<Bytes>) {
    let visitors = Arc::new(Visitors::default());
    let answers = Arc::new(Answers { shared, news, watchers: Arc::default() });
    loop {
        let accepted = listener.accept().await;
        visitors.make_room().await;
        match accepted {
            Ok(stream) => visitors.admit(stream, &answers),
            // Of one connection, or for want of descriptors or memory.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Who is connected, in the order in which they came.
#[derive(Default)]
struct Visitors {
    all: Mutex<BTreeMap<u64, Visitor>>,
}

struct Visitor {
    since: Instant,
    /// Whether it is told what is new.
    watches: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Visitors {
    /// Ends the first one where there are too many. Watchers are fewer than there is room for.
    async fn make_room(&self) {
        let Some((number, since)) = self.first_of_too_many() else { return };
        tokio::time::sleep_until(since + HEARING).await;
        if let Some(first) = self.all.lock().remove(&number) {
            first.task.abort();
        }
    }

    fn first_of_too_many(&self) -> Option<(u64, Instant)> {
        let all = self.all.lock();
        let mut others = all.iter().filter(|(_, visitor)| !visitor.watches.load(Ordering::Relaxed));
        (all.len() >= CONNECTIONS).then(|| others.next().map(|(number, visitor)| (*number, visitor.since)))?
    }

    fn admit(self: &Arc<Self>, stream: Box<dyn Stream>, answers: &Arc<Answers>) {
        let (visitors, answers, watches) = (Arc::clone(self), Arc::clone(answers), Arc::new(AtomicBool::new(false)));
        let is_watcher = Arc::clone(&watches);
        let mut all = self.all.lock();
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        let task = tokio::spawn(async move {
            // How it has ended concerns nobody.
            let _ = converse(stream, answers, is_watcher).await;
            visitors.all.lock().remove(&number);
        });
        all.insert(number, Visitor { since: Instant::now(), watches, task: task.abort_handle() });
    }
}

async fn converse(stream: Box<dyn Stream>, answers: Arc<Answers>, watches: Arc<AtomicBool>) -> hyper::Result<()> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(PATIENCE));
    let service = service_fn(move |request| {
        let (answers, watches) = (Arc::clone(&answers), Arc::clone(&watches));
        async move {
            let response = answers.to(&request).await;
            watches.store(matches!(response.body(), Answer::Events(_)), Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await
}

/// What there is to be said.
struct Answers {
    shared: Arc<Shared>,
    news: watch::Receiver<Bytes>,
    watchers: Arc<AtomicUsize>,
}

impl Answers {
    async fn to(&self, request: &Request<Incoming>) -> Response<Answer> {
        let mut response = self.about(request).await;
        let headers = response.headers_mut();
        for (name, value) in [
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn about(&self, request: &Request<Incoming>) -> Response<Answer> {
        if !self.is_for_us(request) {
            return refusal(
                StatusCode::MISDIRECTED_REQUEST,
                "This host is not known here: see the option telemetry.hosts\n",
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "Nothing can be changed here\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(wanted(request.headers())).await,
            "/livez" => json(&self.shared.snapshot().liveness()),
            "/readyz" => json(&self.shared.snapshot().readiness()),
            "/status" => json(&(true, self.shared.snapshot())),
            "/events" => self.events(request.method()),
            path => match self.shared.options.page.iter().find(|asset| asset.path == path) {
                Some(asset) => answer(StatusCode::OK, asset.content_type.clone(), asset.bytes.clone()),
                None => refusal(StatusCode::NOT_FOUND, "There are /metrics, /livez, /readyz, /status and /events\n"),
            },
        }
    }

    async fn metrics(&self, format: Format) -> Response<Answer> {
        let workers = self.shared.registry.read(format).await;
        let (mut ours, mut end) = (String::new(), String::new());
        exposition::append(&mut ours, &metrics::families(&self.shared.snapshot()), format);
        exposition::append(&mut ours, &workers.families(), format);
        exposition::finish(&mut end, format);
        let (ours, text, end) = (ours.into_bytes(), workers.text(format), end.into_bytes());
        // Each part is a write of its own, and the client is woken by each.
        let parts = if text.len() <= PIECE {
            VecDeque::from([[&ours, &*text, &end].concat().into()])
        } else {
            VecDeque::from([ours.into(), text, end.into()])
        };
        let mut response = answer(StatusCode::OK, HeaderValue::from_static(format.content_type()), Bytes::new());
        *response.body_mut() = Answer::Whole(parts);
        response
    }

    /// What is so now, and again each second.
    fn events(&self, method: &Method) -> Response<Answer> {
        let Some(place) = Place::take(&self.watchers) else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "Too many watch already\n");
        };
        let mut response = answer(StatusCode::OK, HeaderValue::from_static("text/event-stream"), Bytes::new());
        if method == Method::GET {
            let first = self.shared.event();
            *response.body_mut() =
                Answer::Events(Events { first: Some(first), news: Some(next(self.news.clone())), _place: place });
        }
        response
    }

    /// Whether a request names an address, or a host that the user knows: a page of another name, behind which a
    /// name server has put our address, is not to read here.
    fn is_for_us(&self, request: &Request<Incoming>) -> bool {
        if self.shared.options.hosts.is_none() {
            return true;
        }
        let mut named = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok()).peekable();
        // What came before HTTP/1.1 need not name any, and no browser speaks that.
        let is_named = named.peek().is_some() || request.version() < Version::HTTP_11;
        is_named
            && named
                .chain(request.uri().authority().map(|host| Some(host.as_str())))
                .all(|host| host.is_some_and(|host| self.knows(host)))
    }

    fn knows(&self, host: &str) -> bool {
        let Some(name) = host.parse::<Uri>().ok().and_then(|uri| Some(uri.host()?.to_ascii_lowercase())) else {
            return false;
        };
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        let known = self.shared.options.hosts.as_deref().unwrap_or_default();
        plain.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || known.iter().any(|known| known.eq_ignore_ascii_case(&name))
    }
}

/// The format that a reader likes best: Prometheus' own, unless it names the other.
fn wanted(headers: &HeaderMap) -> Format {
    let accepted =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut best = [0.0_f32; 2];
    for range in accepted {
        let mut parts = range.split(';').map(str::trim);
        let which = match parts.next() {
            Some("application/openmetrics-text") => 0,
            Some("text/plain" | "text/*" | "*/*") => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        best[which] = best[which].max(weight);
    }
    if best[0] > best[1] {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

fn answer(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole([bytes].into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Answer> {
    answer(status, HeaderValue::from_static("text/plain; charset=utf-8"), Bytes::from_static(why.as_bytes()))
}

/// Says whether it is well, too.
fn json((is_well, value): &(bool, impl serde::Serialize)) -> Response<Answer> {
    let status = if *is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // There are no keys in it but texts.
    answer(status, HeaderValue::from_static("application/json"), serde_json::to_vec(value).unwrap_or_default().into())
}

/// One of those who watch.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(watchers: &Arc<AtomicUsize>) -> Option<Place> {
        let one_more = |count| (count < WATCHERS).then_some(count + 1);
        watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Place(Arc::clone(watchers)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
enum Answer {
    Whole(VecDeque<Bytes>),
    Events(Events),
}

/// A stream without an end. It is asked for more when the client has room: one that is slow misses what was meanwhile.
struct Events {
    first: Option<Bytes>,
    news: Option<Next>,
    _place: Place,
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, watch::Receiver<Bytes>)>> + Send>>;

fn next(mut news: watch::Receiver<Bytes>) -> Next {
    Box::pin(async move {
        news.changed().await.ok()?;
        let bytes = news.borrow_and_update().clone();
        Some((bytes, news))
    })
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let some = |bytes: Bytes| Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
        match &mut *self {
            Answer::Whole(parts) => {
                while parts.front().is_some_and(Bytes::is_empty) {
                    parts.pop_front();
                }
                some(parts.front_mut().map_or_else(Bytes::new, |part| part.split_to(part.len().min(PIECE))))
            }
            Answer::Events(Events { first, news, .. }) => {
                if let Some(first) = first.take() {
                    return some(first);
                }
                let Some(waiting) = news else { return Poll::Ready(None) };
                match waiting.as_mut().poll(context) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(None) => {
                        *news = None;
                        Poll::Ready(None)
                    }
                    Poll::Ready(Some((bytes, receiver))) => {
                        *news = Some(next(receiver));
                        some(bytes)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Whole(parts) if parts.iter().all(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Answer::Events(_) => SizeHint::default(),
        }
    }
}
