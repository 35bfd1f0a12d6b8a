//! The exactly-once protocol: each call becomes one CRM record, and each update of the call reaches it.
//!
//! `docs/exactly-once.md` states the rules, what they rest on, and how they are verified. This page follows a call through
//! the code and says why each step exists.
//!
//! One *item* in the table stands for one call log. It has the record's id, the *lease* (which invocation may write to the
//! CRM for this call, and until when) and the *queued details* (what still has to be written).
//!
//! # A create
//!
//! 1. **Claim.** [`create::run`] makes this invocation the lease holder with one conditional write, and stores the content
//!    of the create, encrypted, in the same write. The lease keeps all other invocations from the CRM until no request of
//!    this one can arrive there any more. The stored content lets the redrive finish the call if this invocation dies. A
//!    claim that fails returns the item: a repeated create learns the record's id from it, or waits for the holder.
//! 2. **Grant.** [`grant::Grant::obtain`] makes sure of a token that is good for the time of the invocation. One
//!    invocation at a time renews it, because many providers let a refresh token be used once only.
//!    If the create names no contact, [`contact`] looks it up now, and stores it before anything is sent.
//! 3. **Recovery.** If an earlier attempt got no response, its record may exist. [`recovery`] looks for it in the CRM
//!    before another one is created. It uses the *recovery criteria* of all attempts, because a retry may name another
//!    contact or time, or may have been sent in another *way*: with a key or a tag, for a list or a search, or without any.
//!    Therefore the [`criteria`] of this attempt are stored before it sends anything, usually with the claim. A record
//!    without the call's tag may be another call's: [`proof`] decides it.
//! 4. **Send.** The queued details are laid over those of the create, [`draft`] composes the record, and the CRM creates
//!    it. If the CRM does not take the call tag, [`ways`] has the next way: its criteria are stored, and the record is sent
//!    again under the same lease. If the CRM says that the record exists already, it is ours by its key and is adopted. If
//!    the response is lost, a record with the call's tag is looked for at once.
//! 5. **Finish.** One conditional write stores the record's id and a fingerprint of each section, and gives the lease
//!    back. If details were queued meanwhile, the condition fails, and this invocation writes them too. A recovered record
//!    may lack details: then the id is stored first (`keep`), the details are written, and the lease is given back last.
//!    So it is if the CRM needs a further request to complete the record: [`finish`] sends it in between. If this
//!    invocation dies there, the item says that the step is pending, and the redrive makes up for it.
//!
//! # An update
//!
//! 1. **Queue and claim.** [`update::run`] adds the details to the item. The same write claims the call if no invocation
//!    holds the lease. So the details are safe before anything is sent, and nothing is sent twice at once.
//! 2. **Or wait.** If another invocation holds the lease, it writes these details with its own. This invocation reads the
//!    item for about three seconds to tell its caller so. If the call is not logged yet, the details wait for its create.
//! 3. **Sweep.** If the item's duplicate sweep is due and this is the redrive, [`sweep`] does it now, while it holds the lease.
//! 4. **Write.** [`mod@write`] reads the record and merges what we last wrote, what the CRM has and what is new. It
//!    changes what differs. So a person's edit is kept, and an update that is repeated changes nothing. If the CRM needs a
//!    request that completes the record after each change, the item says so before the record is changed.
//! 5. **Finish.** As for a create, also of a step that an earlier lease holder left pending. After five rounds, the lease is given back although more is queued.
//!
//! # A redrive
//!
//! From each claim until its clean end, the item is in an index of due work, with the time when the lease expires. Once a
//! minute, [`redrive::run`] reads what is due, claims each call as a request would, and continues with step 2 of a create
//! or of an update. A [`breaker`] for each tenant or user spares a CRM that is down.
//!
//! # After a failure
//!
//! [`retry`] decides it, from whether the CRM may have changed ([`Effect`](crate::adapters::Effect)):
//!
//! | The invocation | Then |
//! |---|---|
//! | dies | The item is due when its lease expires. The next claim finds that a create was under way and starts with recovery. A write reads the record first, as always |
//! | gets no response from the CRM | The lease stays for a grace period without a holder, because the request may still arrive. After that, as above |
//! | finds a record without a tag that may be another call's | The lease stays without a holder until every lease is over under which the record can have been created. After that, as above |
//! | fails without effect | The lease ends at once. The redrive tries again after a random delay that grows, for 72 hours |
//! | learns that the record exists, but cannot see it | The item waits as after a lost response, and the next attempt reads the record by its key |
//! | gets no response and the CRM has no way to find a record | The lease stays for the grace period. Then the create is sent again, and counted as a possible duplicate |
//! | cannot complete a record | The step stays pending, and the item is due. If the CRM refuses it permanently, the record stays as it is |
//! | meets a used-up daily quota | The redrive tries again when the quota is reset. That time does not count towards the 72 hours |
//! | finds that the record keeps changing | The redrive tries again after five seconds, until it succeeds |
//! | gets a rejection | A create is sent again without the queued details, without each part, and with the barest record; it becomes a dead letter if the CRM rejects that too. An update drops the rejected details, and the others are written |
//! | finds that the record was deleted | The item says so, and the call is not logged again |
//! | loses its lease | Its next write to the item fails, because the holder's name differs. It stops, and the next holder finds what it did |
//! | gets no response from the table | The SDK repeats the write. The condition fails if the first one was done, and the invocation recognises its own name |
//!
//! # The files in reading order
//!
//! Each file uses only files above it.
//!
//! | File | Is |
//! |---|---|
//! | [`sync_point`] | the name of every step that leaves the process, where tests stop an invocation |
//! | [`grant::unstored`] | renewed grants that the table has not stored |
//! | [`ways`] | the ways in which tenants' CRMs take the call tag |
//! | [`cleaning`] | the sections of notes that tenants' CRMs change |
//! | [`tenant_hints`] | the tenants of users, as far as this process has read them |
//! | [`services`] | the clock, clients, CRMs and secrets that everything below works with |
//! | [`failure`] | why a request to a CRM failed |
//! | [`mod@grant`] | the right to call one user's CRM |
//! | [`lease`] | names and times of leases, and waiting for a lease holder |
//! | [`attempt`] | a claimed call and its grant; the ways to give the lease back |
//! | [`retry`] | the retry policy |
//! | [`authors`] | notes of several people in one record |
//! | [`subject`] | the subject of a record, and its corrections |
//! | [`draft`] | a record before and after its creation |
//! | [`criteria`] | what is stored of an attempt until its outcome is known |
//! | [`proof`] | whether a record without a tag is this call's |
//! | [`recovery`] | the search for the record of an earlier attempt |
//! | [`reduction`] | a rejected record without the part that the CRM rejects |
//! | [`contact`] | the contact of a create that names none |
//! | [`finish`] | the step that completes a record |
//! | [`mod@write`] | read, merge, change, finish |
//! | [`sweep`] | the search for a late duplicate |
//! | [`creation`] | the second half of a create: find or create the record, and store it |
//! | [`tenancy`] | the tenant that a request belongs to |
//! | [`place`] | the log of the call that a request is about |
//! | [`update`], [`create`] | the requests: a claim, and what follows it |
//! | [`breaker`] | the circuit breaker of one tenant or user |
//! | [`lookup`], [`contacts`], [`connection`], [`settings`] | questions of a person who waits: which calls have a log, who is calling, and what is set |
//! | [`administration`] | what the administrators of a tenant decide |
//! | [`redrive`] | the requests once more, for work that is due |

pub mod administration;
mod attempt;
mod authors;
mod breaker;
pub mod choices;
pub mod cleaning;
pub mod connection;
mod contact;
pub mod contacts;
pub mod create;
mod creation;
mod criteria;
mod draft;
mod failure;
mod finish;
mod form;
pub mod grant;
mod hidden;
mod lease;
pub mod lookup;
mod owner;
mod place;
mod proof;
mod recovery;
pub mod redrive;
mod reduction;
mod retry;
pub mod services;
pub mod settings;
mod subject;
mod sweep;
pub mod sync_point;
mod tenancy;
pub mod tenant_hints;
pub mod update;
pub mod ways;
mod write;

pub use draft::LeftOut;
pub use failure::Failure;
pub use owner::OwnerRefusal;
