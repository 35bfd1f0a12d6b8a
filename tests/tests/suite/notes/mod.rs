//! Notes: compared to those of App Connect, merged with updates, and written by the functions.

mod examples;
mod merging;
mod requests;
