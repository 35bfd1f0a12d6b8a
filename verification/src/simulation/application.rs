//! The application, its table and its users: what the schedules of one thread share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use call_log::{
    adapters::{Capabilities, Crm},
    delivery::{grant::unstored::UnstoredGrants, sync_point::SyncPoints},
    model::{BreakerKey, Clock, OAuthClient, Secret, User},
    startup::{app::App, config::Config, data_keys},
    store::{BreakerState, StoredUser},
};
use tests::contrary_crm::{ContraryCrm, records::CLIENT};
use tokio::runtime;

use super::{
    crm::{self, Defect, network::Network},
    driver::{Driver, NOW_MS},
    requests::Call,
    scheduler::{self, PauseEverywhere},
    senders::{Account, Who},
    table,
};

/// The number of schedules that use one database.
const SCHEDULES_PER_DATABASE: u64 = 1_000;

/// Returns a runtime whose time advances only when the driver says so.
///
/// # Panics
///
/// Panics if the runtime cannot be built.
pub fn runtime() -> runtime::Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// The application, its table and its users: what the schedules of one thread share.
#[derive(Debug)]
pub struct Simulation {
    pub(super) app: App,
    /// The CRM of the schedule.
    pub(super) crm: &'static dyn Crm,
    pub(super) clock: Arc<AtomicI64>,
    /// The number of schedules that have used the database.
    schedules: u64,
    /// A user belongs to another account than at first.
    pub(super) has_moved: AtomicBool,
}

impl Simulation {
    /// Starts the application.
    ///
    /// # Panics
    ///
    /// Panics if the application does not start.
    pub async fn start() -> Simulation {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key_file = directory.path().join("credentials.key");
        data_keys::create_key_file(&key_file).expect("the key file can be created");
        let environment = BTreeMap::from([
            ("CREDENTIALS_KEY_FILE", key_file.to_str().expect("a path in UTF-8")),
            ("TABLE_NAME", "calls"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost"),
            ("JWT_SECRET", "a secret for simulations that is long enough"),
            ("HASH_KEY", "a key of hashes for simulations"),
        ]);
        let config = Config::read(|name| environment.get(name).map(|value| (*value).to_owned()));
        let mut config = config.expect("a valid configuration");
        let [id, secret] = CLIENT;
        let client = OAuthClient { id: id.to_owned(), secret: Secret::new(secret) };
        config.oauth_clients.insert(ContraryCrm.platform().to_owned(), client);
        let clock = Arc::new(AtomicI64::new(NOW_MS));
        let app = App::new(config, Clock::Manual(clock.clone())).await;
        let mut app = app.expect("the application starts");
        app.api.services.store = app.store.with_sdk(table::configure);
        app.api.services.sync_points = SyncPoints::observed_by(Arc::new(PauseEverywhere));
        app.api.services.crms = &crm::REGISTRY;
        app.api.services.http = app.http.clone().through(Arc::new(Network));
        let crm = crm::REGISTRY[0];
        Simulation { app, crm, clock, schedules: SCHEDULES_PER_DATABASE, has_moved: AtomicBool::default() }
    }

    /// Begins a schedule about these calls, with a CRM that can do this.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn begin(&mut self, crm: Capabilities, calls: Vec<Call>, keeps_trace: bool) -> Driver<'_> {
        scheduler::clear();
        table::clear();
        self.crm = crm::adapter(crm);
        self.clock.store(NOW_MS, Ordering::SeqCst);
        // What waits for a user who moved would be delivered in the next schedule.
        if self.schedules >= SCHEDULES_PER_DATABASE || self.has_moved.load(Ordering::Relaxed) {
            self.renew().await;
        }
        crm::renew(crm, NOW_MS, self.schedules);
        self.schedules += 1;
        if table::take_breaker_written() {
            // A schedule must not find the circuit breaker of an earlier one.
            for user in users() {
                for key in [BreakerKey::Tenant(user.tenant()), BreakerKey::User(user.key())] {
                    let closed = self.app.store.set_breaker(&key, BreakerState::default(), NOW_MS).await;
                    closed.expect("the table responds");
                }
            }
            table::take_breaker_written();
        }
        self.app.api.services.ways = Default::default();
        self.app.api.services.cleaning = Default::default();
        self.app.api.services.tenant_hints = Default::default();
        self.app.api.services.unstored_grants = UnstoredGrants::default();
        Driver::new(self, calls, keeps_trace)
    }

    /// Replaces the table before the next schedule.
    pub(super) fn discard_database(&mut self) {
        self.schedules = SCHEDULES_PER_DATABASE;
    }

    /// Replaces the table by one with only the users.
    ///
    /// # Panics
    ///
    /// Panics if the table does not respond.
    pub async fn renew(&mut self) {
        table::clear();
        table::renew();
        self.schedules = 0;
        self.app.store.create_table().await.expect("the table is created");
        for user in users() {
            self.app.store.put_user(&user).await.expect("the user is stored");
        }
        self.has_moved.store(false, Ordering::Relaxed);
    }

    /// Returns the agent as the table has it.
    pub(super) async fn stored_agent(&self) -> StoredUser {
        let user = self.app.store.user(&Who::Agent.key(self.crm)).await;
        user.expect("the table responds").expect("the user is stored")
    }

    /// Moves the colleague to the other account.
    pub(super) async fn move_colleague(&self) {
        // The table's faults are for invocations.
        scheduler::set_running(usize::MAX, None);
        self.has_moved.store(true, Ordering::Relaxed);
        if crm::has(Defect::MoveUnnoticed) {
            return crm::with(|crm| crm.has_colleague_moved = true);
        }
        let colleague = Who::Colleague.user_in(self.crm, Account::Other);
        self.app.store.put_user(&colleague).await.expect("the user is stored");
    }

    /// Stores the stranger as a member of the account of the others.
    pub(super) async fn mix_accounts(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
        let stranger = Who::Stranger.user_in(self.crm, Account::Own);
        self.app.store.put_user(&stranger).await.expect("the user is stored");
    }
}

/// Returns every user of every CRM.
fn users() -> impl Iterator<Item = User> {
    crm::REGISTRY.into_iter().flat_map(|crm| Who::ALL.map(|who| who.user(crm)))
}
