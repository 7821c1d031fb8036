//! What all connections share.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use pin_project_lite::pin_project;
use tokio_util::task::TaskTracker;

use crate::attachments::{Attachments, Whom};
use crate::auth::{Action, Auth, KeyError, Principal};
use crate::broker::{Broker, Memory};
use crate::bus::{Bounds, Budget, Bus, ChannelName, Draft, PublishError, Store, UserName};
use crate::code::{Code, End};
use crate::config::Config;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::pages::{Pages, PagesError};
use crate::presence::{Presence, Window};
use crate::problem::Problem;
use crate::protocol::command::{CommandLimits, PresenceRequest};
use crate::switch::{Switch, Watch};

/// A gateway: the bus and everything around it that is not a connection.
#[derive(Debug)]
pub struct Gateway {
    config: ArcSwap<Config>,
    /// Where messages go.
    pub bus: Bus,
    /// Who may do what.
    pub auth: Auth,
    /// How much one client may take.
    pub limits: Arc<Limits>,
    /// Who is attached.
    pub attachments: Arc<Attachments>,
    /// Who is in which channel.
    pub presence: Arc<Presence>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// All tasks of connections, so that going down can wait for them.
    pub tasks: TaskTracker,
    /// The folder of pages, if there is one.
    pub pages: Option<Pages>,
    unready: AtomicBool,
    draining: AtomicBool,
    cut: Switch,
}

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The keys of `auth`.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The folder of pages.
    #[error("{0}")]
    Pages(#[from] PagesError),
}

/// Why a configuration was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The keys of `auth`.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// It does not go together with what is read at the start only.
    #[error("{sentence}. These need a new start: {fixed}")]
    Misfit {
        /// What is wrong with it.
        sentence: String,
        /// What is different and stays as it was.
        fixed: String,
    },
}

impl Gateway {
    /// A gateway with the memory broker.
    ///
    /// # Errors
    /// [`SetupError`] for keys of `auth` and a folder of pages that cannot be used.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let store = Arc::new(Store::new(bounds(&config)));
        store.keep(config.retentions());
        let broker = Broker::Memory(Memory::new(Arc::clone(&store)));
        let metrics = Arc::new(Metrics::default());
        let limits = Arc::new(Limits::new(&config));
        let auth = Auth::new(&config.auth)?;
        auth.open_namespaces(&config.namespaces);
        let (bus, config) = (Bus::new(store, broker), Arc::new(config));
        let presence = Presence::new(bus.clone(), Arc::clone(&config), Arc::clone(&metrics));
        Ok(Self {
            bus,
            presence: Arc::new(presence),
            auth,
            attachments: Arc::new(Attachments::new(Arc::clone(&limits), Arc::clone(&metrics))),
            limits,
            metrics,
            tasks: TaskTracker::new(),
            pages: Pages::open(&config.server.pages, config.limits.files_max)?,
            unready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            cut: Switch::default(),
            config: ArcSwap::new(config),
        })
    }

    /// How it is set up now. Ask again each time: it may be reloaded.
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// Takes over another configuration, with its keys, limits and origins, for requests from now on. Who is attached
    /// stays, unless what it was granted is gone. What is read at the start only stays as it was, see [`Config::keep_fixed`]; returns the sections and keys that
    /// need a new start for it.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing has changed then.
    pub fn reload(&self, mut config: Config) -> Result<Vec<&'static str>, ReloadError> {
        let fixed = config.keep_fixed(&self.config());
        // What is new may not fit what stays.
        config.check().map_err(|sentence| ReloadError::Misfit {
            sentence,
            fixed: fixed.join(", "),
        })?;
        self.auth.reload(&config.auth)?;
        self.auth.open_namespaces(&config.namespaces);
        self.limits.reload(&config);
        self.bus.keep(config.retentions());
        let config = Arc::new(config);
        self.presence.reload(Arc::clone(&config));
        self.config.store(config);
        let end = End {
            message: Some("what you were granted is not configured any more".into()),
            ..End::from(Code::Unauthorized)
        };
        let ended = self.attachments.end(Whom::Withdrawn, &end);
        if ended > 0 {
            tracing::info!(
                ended,
                "attachments ended with the API keys or the rights of everybody that they had"
            );
        }
        Ok(fixed)
    }

    /// Checks that somebody may read a channel.
    ///
    /// # Errors
    /// `forbidden`, about the channel.
    pub fn may_read(&self, principal: &Principal, channel: &ChannelName) -> Result<(), Problem> {
        principal.may(Action::Subscribe, channel)?;
        self.presence.check_readable(channel)
    }

    /// Who is in a channel, as JSON with these members first: for whoever may read it.
    ///
    /// # Errors
    /// `forbidden`, about the channel.
    pub fn show_presence(
        &self,
        principal: &Principal,
        request: &PresenceRequest,
        first_members: &str,
    ) -> Result<Vec<u8>, Problem> {
        principal.may(Action::Subscribe, &request.channel)?;
        let budget = self.page_budget(request.limit);
        let window = Window {
            after: request.after.as_ref(),
            limit: budget.messages,
        };
        let page = self.presence.page(&request.channel, window)?;
        Ok(page.print(first_members, budget.bytes))
    }

    /// Sends a message to a user's inbox. Nothing that is returned tells whether anybody has that name. Not cancel safe: a
    /// message that is dropped may have been sent.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn send(&self, to: &UserName, draft: &Draft) -> Result<(), PublishError> {
        let keeps_unknown = self.config().inbox.unknown_users;
        self.bus.send(to, draft, keeps_unknown).await
    }

    /// Takes note of who reads their inbox, where that makes a difference.
    ///
    /// # Errors
    /// [`PublishError::Full`].
    pub fn meet<'a>(
        &self,
        user: Option<&UserName>,
        channels: impl IntoIterator<Item = &'a ChannelName>,
    ) -> Result<(), PublishError> {
        let mut channels = channels.into_iter();
        let (Some(user), Some(inbox)) = (user, channels.find(|channel| channel.is_inbox())) else {
            return Ok(());
        };
        // An administrator who reads the inbox of somebody else does not make them known.
        let own = ChannelName::inbox(user);
        let is_own = *inbox == own || channels.any(|channel| *channel == own);
        if is_own && !self.config().inbox.unknown_users {
            self.bus.see(&own)?;
        }
        Ok(())
    }

    /// Says to who asks that it goes down; clients are served as before.
    pub fn give_notice(&self) {
        self.unready.store(true, Ordering::Release);
    }

    /// True if no more clients should be sent here.
    pub fn is_ready(&self) -> bool {
        !self.unready.load(Ordering::Acquire)
    }

    /// Begins to go down: newcomers are turned away.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Release);
        self.attachments
            .close(self.config().drain.spread_s.duration());
    }

    /// Tells attached clients to come back later, a batch at a time. Ready when all were told.
    pub async fn drain(&self) {
        let drain = self.config().drain.clone();
        let (over, spread) = (drain.over_s.duration(), drain.spread_s.duration());
        self.attachments.drain(over, spread).await;
    }

    /// What clients are told while it goes down, each with its own delay.
    pub fn going_down(&self) -> End {
        End::jittered(Code::Shutdown, self.config().drain.spread_s.duration())
    }

    /// True while it goes down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Runs a task of a connection. It is waited for when the gateway goes down, and cut at the deadline.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(Cuttable {
            task,
            cut: self.cut.watch(),
        });
    }

    /// Cuts all tasks that still run.
    pub fn cut(&self) {
        self.cut.throw();
    }

    /// The bounds that commands are read within.
    pub fn command_limits(&self) -> CommandLimits {
        CommandLimits {
            message_bytes_max: self.config().limits.message_bytes_max,
            page_messages_max: self.config().limits.page_messages_max,
        }
    }

    /// The largest body or frame that can hold a message.
    pub fn body_bytes_max(&self) -> usize {
        self.config().body_bytes_max()
    }

    /// How much a page may hold.
    pub fn page_budget(&self, limit: Option<usize>) -> Budget {
        let limits = &self.config().limits;
        Budget {
            messages: limit.unwrap_or(limits.page_messages),
            bytes: limits.page_bytes_max,
        }
    }
}

pin_project! {
    /// A task that ends when the gateway is cut. One of these is there for every connection, so it holds the task once.
    struct Cuttable<F> {
        #[pin]
        task: F,
        #[pin]
        cut: Watch,
    }
}

impl<F: Future<Output = ()>> Future for Cuttable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        if me.cut.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        me.task.poll(cx)
    }
}

/// Looking for room reads all channels, a million by default.
const REST_AFTER_FULL: Duration = Duration::from_secs(1);

fn bounds(config: &Config) -> Bounds {
    let history = &config.history;
    Bounds {
        retention: config.retentions().others().as_ref().clone(),
        channels_max: history.channels_max,
        bytes_max: history.bytes_total_max,
        forget_after: history.forget_after_s.duration(),
        rest_after_full: REST_AFTER_FULL,
    }
}
