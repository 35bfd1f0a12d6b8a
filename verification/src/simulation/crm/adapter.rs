//! The adapter's side of the CRM in memory.

use super::*;

impl Memory {
    async fn send(
        &self,
        access: &Access<'_>,
        step: &'static str,
        request: Request,
    ) -> Result<CallLogId, Error> {
        check(access)?;
        let stop = scheduler::stop(step, Place::Under);
        let ticket = stop.number();
        let latest = access.deadline.0 + GRACE_MS;
        with(|account| {
            account.send(Message { ticket, latest, request, answer: None, given_up: None });
        });
        stop.await;
        with(|account| account.answer(ticket))
    }

    fn read<T>(
        &self,
        access: &Access<'_>,
        look: impl FnOnce(&Account) -> Result<T, Error>,
    ) -> Result<T, Error> {
        check(access)?;
        with(|account| match account.next_read.take() {
            Some(error) => Err(error),
            None => look(account),
        })
    }
}

/// As the adapters do, last of all: what could still be under way when the invocation ends is not begun. Then what
/// any request meets: is the token good, and what is left of the budget.
fn check(access: &Access<'_>) -> Result<(), Error> {
    let left = access.deadline.remaining(access.clock).saturating_sub(RESERVE);
    if left < LEAST {
        return Err(failure(ErrorKind::Unavailable, Effect::None));
    }
    let (tokens, burst) = with(|account| (account.tokens.clone(), account.burst));
    if let Some(left) = burst {
        access.budgets.record(&access.base_url, Some(100), Some(left), Some(10), access.clock.now_ms());
    }
    let now_ms = access.clock.now_ms();
    if let Some(error) = with(|account| account.knock(access, now_ms)) {
        return Err(error);
    }
    match (tokens, &access.authorization) {
        (Some(host), Authorization::Stored(Credentials::OAuth { access_token, .. }))
            if !host.is_good(access_token.expose()) =>
        {
            Err(failure(ErrorKind::Unauthorized, Effect::None))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Crm for Memory {
    fn platform(&self) -> &'static str {
        "memory"
    }

    fn display_name(&self) -> &'static str {
        "the CRM in memory"
    }

    fn format(&self) -> Format {
        self.format
    }

    fn recovery(&self) -> Recovery {
        Recovery::ConsistentList
    }

    fn compare_and_set(&self) -> bool {
        self.compare_and_set
    }

    fn base_url(&self, _: Option<&str>) -> Option<String> {
        Some("http://memory".to_owned())
    }

    fn token_url(&self) -> Option<&'static str> {
        with(|account| account.tokens.as_ref().map(|host| host.url))
    }

    async fn create_record(&self, access: &Access<'_>, log: &NewCallLog) -> Result<CallLogId, Error> {
        self.send(access, "crm.create_log", Request::Create(Box::new(log.clone()))).await
    }

    async fn read_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<CallLog, Error> {
        self.read(access, |account| {
            let entry = account.live().find(|entry| entry.id == *id);
            let entry = entry.ok_or_else(|| failure(ErrorKind::NotFound, Effect::None))?;
            Ok(CallLog {
                subject: Some(entry.subject.clone()),
                body: entry.body.clone(),
                version: self.compare_and_set.then(|| entry.version.to_string()),
            })
        })
    }

    async fn update_record(
        &self,
        access: &Access<'_>,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Error> {
        let request = Request::Change(id.clone(), change.clone());
        self.send(access, "crm.update_log", request).await.map(drop)
    }

    async fn find_records(
        &self,
        access: &Access<'_>,
        log: &NewCallLog,
        _: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Error> {
        self.read(access, |account| {
            let ours =
                account.live().filter(|entry| entry.contact == log.contact.id && entry.start == log.start);
            Ok(ours.map(|entry| entry.id.clone()).collect())
        })
    }

    async fn delete_record(&self, access: &Access<'_>, id: &CallLogId) -> Result<bool, Error> {
        match self.send(access, "crm.remove_log", Request::Remove(id.clone())).await {
            Ok(_) => Ok(true),
            Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_contacts(&self, _: &Access<'_>, _: &str) -> Result<Vec<Contact>, Error> {
        Ok(Vec::new())
    }

    async fn create_contact(&self, _: &Access<'_>, _: &NewContact) -> Result<Contact, Error> {
        Err(failure(ErrorKind::Forbidden, Effect::None))
    }
}
