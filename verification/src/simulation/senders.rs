//! The senders of requests: which user sends a request, and what it says of the CRM account and of the extension.

use call_log::{
    adapters::Crm,
    auth::Caller,
    model::{
        Credentials, CrmAccount, NamedExtension, Platform, Secret, Settings, TenantKey, User, UserId, UserKey,
    },
};
use tests::contrary_crm::records::API_KEY;

use super::crm::{self, Defect, HOST};

/// An account of the CRM. Records of different accounts have the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The company of most users.
    Own,
    /// Another company.
    Other,
}

impl Account {
    /// Returns the CRM's id of the account.
    pub fn id(self) -> &'static str {
        match self {
            Account::Own => "7",
            Account::Other => "8",
        }
    }

    /// Returns the account that a user belongs to, as the table has it.
    pub(super) fn of(user: &User) -> Account {
        if user.account.id.as_deref() == Some(Account::Other.id()) { Account::Other } else { Account::Own }
    }
}

/// A user of a CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An agent, who sends most requests.
    Agent,
    /// A colleague of the agent.
    Colleague,
    /// A user of the other account.
    Stranger,
}

impl Who {
    /// Every user.
    pub const ALL: [Who; 3] = [Who::Agent, Who::Colleague, Who::Stranger];

    /// Returns the account that the user belongs to at first.
    pub fn account(self) -> Account {
        if self == Who::Stranger { Account::Other } else { Account::Own }
    }

    pub(super) fn key(self, crm: &dyn Crm) -> UserKey {
        let number = match self {
            Who::Agent => 12_345,
            Who::Colleague => 777,
            Who::Stranger => 9,
        };
        let platform = Platform::new(crm.platform()).expect("a valid platform");
        UserKey { id: UserId::new(format!("{number}-{platform}")).expect("a valid user id"), platform }
    }

    /// Returns the user, as a member of this account.
    pub(super) fn user_in(self, crm: &dyn Crm, account: Account) -> User {
        let UserKey { platform, id } = self.key(crm);
        User {
            id,
            platform,
            hostname: Some(HOST.to_owned()),
            account: CrmAccount { id: Some(account.id().to_owned()), ..CrmAccount::default() },
            zone: None,
            settings: Settings::default(),
            credentials: Some(Credentials::ApiKey(Secret::new(API_KEY))),
        }
    }

    /// Returns the user as the table has it at first.
    pub(super) fn user(self, crm: &dyn Crm) -> User {
        self.user_in(crm, self.account())
    }
}

/// An extension, as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The hash of its id.
    pub hash: &'static str,
    /// Its number.
    pub number: &'static str,
}

/// Two extensions of one company.
pub const EXTENSIONS: [Extension; 2] =
    [Extension { hash: "8c41", number: "101" }, Extension { hash: "f2d7", number: "102" }];

/// The parts of an extension's identity that a sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None.
    Nothing,
    /// The hash.
    Hash,
    /// The number.
    Number,
    /// Both.
    Both,
}

impl Names {
    pub(super) fn of(self, extension: Option<Extension>) -> NamedExtension {
        let extension = extension.filter(|_| !crm::has(Defect::ExtensionIgnored));
        let Some(extension) = extension else { return NamedExtension::default() };
        let is_joined = !crm::has(Defect::HalvesNotJoined);
        let has_hash = self == Names::Hash || self == Names::Both && is_joined;
        let has_number = matches!(self, Names::Number | Names::Both);
        NamedExtension {
            hash: has_hash.then(|| extension.hash.to_owned()),
            id: None,
            number: has_number.then(|| extension.number.to_owned()),
        }
    }
}

/// The origin of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user who sends it.
    pub who: Who,
    /// The part of the extension's identity that it names.
    pub names: Names,
    /// Its token names the user's account.
    pub names_account: bool,
}

impl Origin {
    /// Returns the caller that the token of the request identifies.
    pub(super) fn caller(self, crm: &dyn Crm) -> Caller {
        let user = self.who.key(crm);
        let is_mixed = crm::has(Defect::AccountsMixed);
        let account = if is_mixed { Account::Own } else { self.who.account() };
        let tenant = || TenantKey { platform: user.platform.clone(), account: account.id().to_owned() };
        Caller {
            tenant: self.names_account.then(tenant),
            user,
            issued_at: None,
            expires_at: i64::MAX,
            login: None,
        }
    }
}
