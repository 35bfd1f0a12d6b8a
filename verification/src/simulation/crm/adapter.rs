//! The adapter of the fake CRM.

use super::*;

impl FakeCrm {
    async fn send(
        &self,
        access: &Access<'_>,
        step: &'static str,
        request: Request,
    ) -> Result<CallLogId, Error> {
        check(access)?;
        match deliver(step, account_of(access.user), access.deadline, request).await? {
            Reply::Record(id) => Ok(id),
            Reply::Http(_) => unreachable!("the adapter sends no HTTP"),
        }
    }

    fn read<T>(
        &self,
        access: &Access<'_>,
        read: impl FnOnce(&CrmState) -> Result<T, Error>,
    ) -> Result<T, Error> {
        check(access)?;
        with(|crm| match crm.next_read_fails.take() {
            Some(error) => Err(error),
            None => read(crm),
        })
    }
}

/// Refuses a request for which no time is left, as the adapters do, and one that the CRM would refuse: the CRM is down,
/// its rate limit is used up, or the access token is invalid.
fn check(access: &Access<'_>) -> Result<(), Error> {
    let left = access.deadline.remaining(access.clock).saturating_sub(RESERVE);
    if left < MIN_TIME {
        return Err(failure(ErrorKind::Unavailable, Effect::None));
    }
    let (tokens, left) = with(|crm| (crm.tokens.clone(), crm.burst_budget));
    if let Some(left) = left {
        access.budgets.record(&access.budget, None, &burst(100, left, 10), access.clock.now_ms());
    }
    let now_ms = access.clock.now_ms();
    if let Some(error) = with(|crm| crm.refuse_early(access, now_ms)) {
        return Err(error);
    }
    match (tokens, &access.authorization) {
        (Some(host), Authorization::Stored(Credentials::OAuth { access_token, .. }))
            if !host.is_valid(access_token.expose()) =>
        {
            Err(failure(ErrorKind::Unauthorized, Effect::None))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Crm for FakeCrm {
    fn platform(&self) -> &'static str {
        "memory"
    }

    fn display_name(&self) -> &'static str {
        "the fake CRM"
    }

    fn capabilities(&self) -> Capabilities {
        DEFECT.get().map_or(capabilities(), |defect| defect.declared(capabilities()))
    }

    fn presentation(&self) -> Presentation {
        Presentation::default()
    }

    fn base_url(&self, _: &User) -> Option<String> {
        Some("http://memory".to_owned())
    }

    fn host_account(&self, _: &User) -> HostAccount {
        HostAccount::Shared
    }

    fn authentication(&self, _: &Credentials) -> Authentication {
        Authentication::BEARER
    }

    fn oauth(&self, _: &User) -> Option<OAuth> {
        with(|crm| crm.tokens.is_some()).then(|| OAuth {
            authorize_url: String::new(),
            token_url: "http://memory/token".to_owned(),
            revoke_url: None,
            client_authentication: ClientAuthentication::Basic,
            scopes: Vec::new(),
            has_pkce: false,
            extra: Vec::new(),
        })
    }

    fn fields(&self, facts: &CallFacts) -> Fields {
        let direction = facts.direction.map(|direction| direction.as_str().to_owned());
        let start = facts.start.map(|start| start.timestamp_millis().to_string());
        let duration = facts.seconds().map(|seconds| seconds.to_string());
        [(DIRECTION, direction), (START, start), (DURATION, duration)]
            .map(|(name, text)| (name, text.unwrap_or_default()))
            .into()
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        self.send(access, "crm.create_log", Request::Create(Box::new(log.clone()))).await
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        let account = account_of(access.user);
        self.read(access, |crm| {
            let record = crm.live().find(|record| record.has_id(account, id));
            let record = record.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
            let mut shown = record.shown(capabilities().compare_and_set);
            if has(Defect::FieldsOverwritten) {
                shown.fields.insert(DURATION, String::new());
            }
            Ok(shown)
        })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let version = change.version.clone().filter(|_| !has(Defect::VersionNotSent));
        let request = Request::Change(id.clone(), CallLogChange { version, ..change.clone() });
        self.send(access, "crm.update_log", request).await.map(drop)
    }

    async fn finish_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        facts: &CallFacts,
    ) -> Result<(), Error> {
        let finish = capabilities().finish;
        let account = account_of(access.user);
        let completion = self.read(access, |crm| {
            if has(Defect::FinishNotRepeated) && crm.unanswered_completions.contains(id) {
                return Ok(None);
            }
            let record = crm.live().find(|record| record.has_id(account, id));
            let record = record.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
            let entry = record.entries.first().filter(|_| !has(Defect::FinishRepeatedBlindly));
            let seconds = facts.seconds().map(|seconds| seconds.to_string());
            Ok(match (finish, seconds, entry) {
                (Finish::AfterEachChange, ..) => (!record.is_closed).then_some(Completion::Close),
                (Finish::WithDuration, Some(seconds), None) => Some(Completion::AddEntry(seconds)),
                (Finish::WithDuration, Some(seconds), Some(entry)) => {
                    (*entry != seconds).then_some(Completion::CorrectEntry(seconds))
                }
                _ => None,
            })
        })?;
        match completion {
            Some(completion) => {
                let request = Request::Complete(id.clone(), completion);
                self.send(access, "crm.finish_log", request).await.map(drop)
            }
            None => Ok(()),
        }
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        _: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        let account = account_of(access.user);
        self.read(access, |crm| Ok(crm.found(account, log)))
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        match self.send(access, "crm.remove_log", Request::Remove(id.clone())).await {
            Ok(_) => Ok(true),
            Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, access: &Access<'_>, phone_number: &str) -> Result<Vec<Contact>, Error> {
        let contact = |id| Contact {
            id,
            kind: None,
            name: Some("Bob Client".to_owned()),
            phone_number: Some(NUMBER.to_owned()),
        };
        let found = ContactId::new(CONTACTS[0]).filter(|_| phone_number == NUMBER).map(contact);
        self.read(access, |_| Ok(found.into_iter().collect()))
    }

    async fn create_contact(&self, _: &Access<'_>, _: &NewContact) -> Result<Contact, Error> {
        Err(failure(ErrorKind::Forbidden { message: String::new() }, Effect::None))
    }
}
