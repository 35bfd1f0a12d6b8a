//! Login: a person connects a CRM account, with a code that the CRM's own page issued or with a key; and disconnects it.
//!
//! The person, the account and the host come from the CRM's response to the credential itself, never from the request. Nothing is
//! stored unless the people of that account may connect. [`account`] finds the account of a user whom an operator stores,
//! [`disconnect`] ends a connection, [`administrator`] says who is an administrator.

pub mod account;
pub mod administrator;
pub mod disconnect;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::{
    adapters::{
        Access, Authorization, Crm, ErrorKind, HostAccount, OAuth, Profile,
        oauth::{AuthorizationCode, GrantError, exchange_code},
    },
    delivery::services::Services,
    model::{
        Credentials, CrmAccount, Deadline, OAuthClient, Platform, Secret, Settings, TenantKey, User, UserId,
        hash::hex, random_name,
    },
    store::{self, StoredUser},
};

/// The longest key that is taken, in characters.
const LONGEST_KEY: usize = 1_000;

/// The tenants whose people may connect by themselves, beside those that an operator has allowed in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedTenants {
    /// All.
    All,
    /// Those with these names: `<platform>:<account>`.
    Named(BTreeSet<String>),
}

impl AllowedTenants {
    /// Reads a list with commas between the names. `*` stands for all tenants.
    ///
    /// ```
    /// use call_log::login::AllowedTenants;
    ///
    /// assert_eq!(AllowedTenants::parse("example:acme, *"), AllowedTenants::All);
    /// assert_eq!(AllowedTenants::parse(""), AllowedTenants::Named([].into()));
    /// ```
    pub fn parse(list: &str) -> AllowedTenants {
        let names: BTreeSet<_> =
            list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if names.contains("*") { AllowedTenants::All } else { AllowedTenants::Named(names) }
    }

    fn has(&self, tenant: &TenantKey) -> bool {
        match self {
            AllowedTenants::All => true,
            AllowedTenants::Named(names) => names.contains(&tenant.to_string()),
        }
    }
}

/// A login at one CRM.
#[derive(Debug)]
pub struct Login<'a> {
    /// The services of the process.
    pub services: &'a Services,
    /// The CRM.
    pub crm: &'static dyn Crm,
    /// The tenants whose people may connect.
    pub allowed: &'a AllowedTenants,
    /// When the response must be complete.
    pub deadline: Deadline,
}

/// The proof that a person may act in the CRM.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The code that the CRM's page issued after the person granted access.
    Code(AuthorizationCode),
    /// A personal key.
    Key(Secret),
}

/// A person who is connected now.
#[derive(Clone, Debug, PartialEq)]
pub struct Connected {
    /// The user, as the table has them.
    pub stored: StoredUser,
    /// The name of the user in the CRM, or the user's id there.
    pub name: String,
    /// The name of the account in the CRM, or its id.
    pub account: String,
}

/// The reasons for which a login stores nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The CRM is not connected in this way here, because a registration or an address is missing.
    #[error("this way to connect is not set up")]
    NotSetUp,
    /// The code was sent before, so it no longer works.
    #[error("the code was used before")]
    CodeUsed,
    /// The CRM refused the code or the key, for the reason in its own words, which can be empty.
    #[error("the CRM refused the credential")]
    Refused(String),
    /// The CRM did not say whose credential it is, or names a host that is not one of its own.
    #[error("the CRM did not say whose credential it is")]
    Unidentified,
    /// The people of the account may not connect by themselves.
    #[error("the tenant {tenant} may not connect")]
    NotAllowed {
        /// The name of the account in the CRM, or its id.
        account: String,
        /// The tenant's name for the operator.
        tenant: TenantKey,
    },
    /// The CRM did not respond, or limits the rate.
    #[error("the CRM did not respond: {0}")]
    Unavailable(String),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl LoginError {
    /// Returns `true` if the person who connects can do something about it.
    pub fn is_for_person(&self) -> bool {
        !matches!(self, LoginError::Store(_))
    }
}

impl Login<'_> {
    /// Connects the person who has this proof.
    ///
    /// # Errors
    /// See [`LoginError`]. Nothing is stored then, except that a code was used.
    pub async fn connect(&self, proof: Proof) -> Result<Connected, LoginError> {
        let (credentials, code) = match proof {
            Proof::Code(code) => {
                let name = self.name_of(&code);
                (self.exchange(code, &name).await?, Some(name))
            }
            Proof::Key(key) => (Credentials::ApiKey(checked(key)?), None),
        };
        let profile = self.identify(&credentials).await?;
        let user = self.user(&profile, credentials)?;
        let tenant = user.tenant();
        let account = profile.account_name.unwrap_or_else(|| tenant.account.clone());
        if !self.allowed.has(&tenant) && !self.services.store.is_tenant_allowed(&tenant).await? {
            return Err(LoginError::NotAllowed { account, tenant });
        }
        if let (HostAccount::One, Some(host)) = (self.crm.host_account(&user), &user.hostname) {
            self.services.store.set_account_of_host(&user.platform, host, &tenant.account).await?;
        }
        if let Some(code) = code {
            self.services.store.set_user_of_code(&code, &user.key()).await?;
        }
        let now_ms = self.services.clock.now_ms();
        let stored = self.services.store.connect_user(&user, profile.name.as_deref(), now_ms).await?;
        self.services.tenant_hints.forget(&user.key());
        let name = profile.name.unwrap_or_else(|| user.crm_user_id().to_owned());
        Ok(Connected { stored, name, account })
    }

    /// Returns the name of a code in the table.
    fn name_of(&self, code: &AuthorizationCode) -> String {
        hex(&Sha256::digest(format!("{} {}", self.crm.platform(), code.code.expose())))
    }

    /// Exchanges a code for credentials. A code is sent once, even if the same request arrives twice.
    async fn exchange(&self, code: AuthorizationCode, name: &str) -> Result<Credentials, LoginError> {
        let (oauth, client) = self.authorization_server().await?;
        let now_ms = self.services.clock.now_ms();
        if !self.services.store.claim_code(name, &random_name(), now_ms).await? {
            return Err(LoginError::CodeUsed);
        }
        match exchange_code(&self.services.http, self.crm, &oauth, &client, &code).await {
            Ok(issued) => Ok(issued.credentials(self.services.clock.now())),
            Err(GrantError::Rejected) => Err(LoginError::Refused(String::new())),
            Err(error) => Err(LoginError::Unavailable(format!("{error:?}"))),
        }
    }

    /// Returns the CRM's authorization server, and our registration with it.
    ///
    /// # Errors
    /// [`LoginError::NotSetUp`] if the CRM has none, or if we are not registered.
    pub async fn authorization_server(&self) -> Result<(OAuth, OAuthClient), LoginError> {
        let oauth = self.services.oauth(self.crm, &self.blank_user()).ok_or(LoginError::NotSetUp)?;
        let client = self.services.oauth_client(self.crm).await.map_err(|error| {
            tracing::info!(crm = self.crm.platform(), %error, "people cannot sign in at the CRM");
            LoginError::NotSetUp
        })?;
        Ok((oauth, client))
    }

    /// Asks the CRM whose credential it is.
    async fn identify(&self, credentials: &Credentials) -> Result<Profile, LoginError> {
        let services = self.services;
        let user = self.blank_user();
        let access = Access {
            http: &services.http,
            clock: &services.clock,
            budgets: &services.budgets,
            deadline: self.deadline,
            crm: self.crm,
            base_url: services.identity_url(self.crm).ok_or(LoginError::NotSetUp)?,
            budget: services.budget(self.crm, &user),
            authorization: Authorization::Stored(credentials.clone()),
            user: &user,
        };
        self.crm.identify(&access).await.map_err(|error| match error.kind {
            ErrorKind::Unauthorized => LoginError::Refused(String::new()),
            ErrorKind::Forbidden { message } | ErrorKind::Rejected { message } => {
                LoginError::Refused(message)
            }
            _ => LoginError::Unavailable(error.reason),
        })
    }

    /// Returns the user whom the CRM describes, with these credentials.
    fn user(&self, profile: &Profile, credentials: Credentials) -> Result<User, LoginError> {
        let platform = self.crm.platform();
        let id = profile.user_id.as_ref().and_then(|id| UserId::new(format!("{}-{platform}", id.trim())));
        let id = id.ok_or(LoginError::Unidentified)?;
        let user = profile.applied_to(User { id, credentials: Some(credentials), ..self.blank_user() });
        let account = match self.crm.host_account(&user) {
            HostAccount::Named(account) => Some(account),
            HostAccount::Shared | HostAccount::One => user.account.id.clone(),
        };
        let account = account.filter(|account| !account.trim().is_empty()).ok_or(LoginError::Unidentified)?;
        let user = User { account: CrmAccount { id: Some(account), ..user.account }, ..user };
        // The credential will be sent to the user's host.
        self.services.crm_base_url(self.crm, &user).map(|_| user).ok_or(LoginError::Unidentified)
    }

    /// Returns the user of a login before the CRM has said who it is.
    fn blank_user(&self) -> User {
        User {
            id: UserId::new("unknown").expect("the text is not empty"),
            platform: Platform::new(self.crm.platform()).expect("the name of a platform is not empty"),
            hostname: None,
            account: CrmAccount::default(),
            zone: None,
            settings: Settings::default(),
            credentials: None,
        }
    }
}

/// Returns a key without the spaces around it, if it can be the value of a header.
fn checked(key: Secret) -> Result<Secret, LoginError> {
    let text = key.expose().trim();
    let is_possible = !text.is_empty()
        && text.chars().count() <= LONGEST_KEY
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_possible { Ok(Secret::new(text)) } else { Err(LoginError::Refused(String::new())) }
}
