//! The protocol of `docs/exactly-once.md`, proved.
//!
//! A test tries some orders of events. Here all of them are tried, in a model: one call's item, the invocations that
//! come to it, the CRM, and the writes on their way to it. Between any two steps of one invocation every step of
//! another can come, and so can a death, a pause, a lost answer, or a write that lands when nobody waits for it.
//!
//! ```sh
//! cargo run --release -p verification -- model      # everything within the scopes; exit code 1 if a run does not show what it has to
//! cargo run --release -p verification -- model --traces --only "lands late"
//! cargo run --release -p verification -- mutants    # faults put into the protocol: each has to be found
//! cargo run --release -p verification -- faults # each fault at each step of the use-cases
//! cargo run --release -p verification -- schedules --count 1000000
//! cargo run --release -p verification -- schedules --seed 13188 --trace
//! cargo run --release -p verification -- properties # of many at once, of every order, after an outage, of people's edits
//! cargo test -p verification                        # the same in small
//! ```
//!
//! What goes wrong in the model is told step by step, on the shortest way there is to it. The last three commands run
//! the use-cases themselves (`real`): the code of the functions, the SDK, the embedded DynamoDB, and a CRM in memory,
//! in one thread under a clock of the driver's own. Every step of an invocation that leaves the process stops at the
//! driver, which lets one go on at a time, kills it, or loses the answer.
//!
//! # What is proved
//!
//! Within a scope of two creates, two updates with a fact each, two deaths, one owner that sleeps until its lease has run
//! out (written `(2,2,2,1)`), and two redrives, for every order of events:
//!
//! - *In the end*, when nothing more happens by itself, a call that was accepted has exactly one log, the one that the
//!   item names, and every update that was accepted is in it.
//! - *At no moment* are there two logs of the call, or two writes of one log on their way, or is an update said to be in
//!   the log that is not.
//! - *Nothing is doomed*: from every state a good end can be reached. What was given up counts as a good end only once a
//!   person has had it tried again.
//! - A log that a person deleted is not made again.
//! - The item goes where the table of transitions in the store leads, and nowhere else; and the model takes every
//!   transition of that table. A test compares the two, so that the model cannot stay behind the code's table.
//!
//! # Under which assumptions
//!
//! - A write lands before the grace is over, or never. The grace counts from the owner's deadline, or, after a lost
//!   answer, from when the owner stopped waiting.
//! - A list shows what has landed. The audit comes when everything has landed.
//! - Whoever can go on does so some time; a redrive comes back for what is due.
//!
//! Each of the first two is also broken, once. Then there are two logs for a while, and one in the end: the audit removes
//! the other. The last run shows what is *not* promised: in a CRM without compare-and-set a PATCH that lands after the
//! grace takes a newer fact out of the log again.
//!
//! # Measured
//!
//! 22.8 million states; one core of a busy x86-64 machine, 36 s of its time in all, 752 MB at most. The columns after
//! *given up* are the ends, and the states, that are bad. Once, with every run but those of refused data and of two
//! contacts in the scope `(2,2,2,1)`: 86.4 million states, 204 s, 2.0 GB, the same verdicts.
//!
//! | run | scope | states | transitions | with two logs (first after) | ends | given up | two logs | lost create | lost update | doomed | seconds |
//! |---|---|---|---|---|---|---|---|---|---|---|---|
//! | check, then act | (2,2,2,1) | 7,192 | 34,764 | 4,174 (6 steps) | 125 | 0 | 93 | 3 | 15 | 5,756 | 0.0 |
//! | the protocol | (2,2,2,1) | 2,986,828 | 15,887,819 | 0 | 6 | 0 | 0 | 0 | 0 | 0 | 5.3 |
//! | and something is given up | (2,2,2,1) | 6,211,791 | 33,353,365 | 0 | 236 | 116 | 0 | 0 | 0 | 0 | 12.2 |
//! | and a person deletes the log | (2,1,2,1) | 391,825 | 2,021,841 | 0 | 116 | 32 | 0 | 0 | 0 | 0 | 0.4 |
//! | one update's data is refused | (2,2,1,1) | 1,531,162 | 7,415,095 | 0 | 12 | 0 | 0 | 0 | 0 | 0 | 2.3 |
//! | a newer value of a fact comes | (2,2,2,1) | 3,294,375 | 17,433,775 | 0 | 12 | 0 | 0 | 0 | 0 | 0 | 7.0 |
//! | requests name two contacts | (3,1,1,1) | 761,371 | 3,531,082 | 0 | 8 | 0 | 0 | 0 | 0 | 0 | 0.8 |
//! | a POST lands late, no audit | (2,1,2,1) | 365,281 | 1,768,402 | 120,926 (11 steps) | 45 | 0 | 24 | 0 | 0 | 120,926 | 0.4 |
//! | a POST lands late | (2,1,2,1) | 903,915 | 4,360,768 | 215,616 (11 steps) | 24 | 0 | 0 | 0 | 0 | 0 | 1.1 |
//! | a list is stale, no audit | (2,1,2,1) | 318,226 | 1,511,818 | 115,088 (11 steps) | 42 | 0 | 24 | 0 | 0 | 115,088 | 0.3 |
//! | a list is stale | (2,1,2,1) | 864,771 | 4,130,923 | 210,464 (11 steps) | 24 | 0 | 0 | 0 | 0 | 0 | 0.9 |
//! | a PATCH lands late, compare-and-set | (1,2,1,1) | 2,543,308 | 12,803,229 | 0 | 8 | 0 | 0 | 0 | 0 | 0 | 4.4 |
//! | a PATCH lands late | (1,2,1,1) | 2,590,128 | 13,012,959 | 0 | 16 | 0 | 0 | 0 | 8 | 13,948 | 4.6 |
//!
//! States that differ only in which of two creates, or of two redrives, is which are counted once.
//!
//! # The faults
//!
//! 44 faults, each of one rule, are put into the protocol, and each is found, within 93,000 states. Four more do no harm,
//! because another rule makes them good; they are explored to the end to show it.
//!
//! Which log the audit keeps is decided here too: the one that the item names. To keep the first that was made loses the
//! updates that are in the named one, also if the item is made to name the first.
//!
//! # What is left out
//!
//! - People's edits of a log, and the merge: proved by the note engine's property tests.
//! - The renewal of tokens, and the user item: an attempt that fails there fails without effect.
//! - A write to the table that the SDK repeats because its answer was lost: the owner's name tells, so it is a write whose
//!   answer comes late.
//! - What a create itself brings, but for its contact: two creates of one call bring the same.
//! - A CRM in which nothing can be looked for, and one that makes a log only once by itself.
//! - A payload that is too long to be kept: whoever sent it sends it again.

pub mod commands;
pub mod model;
pub mod simulation;
