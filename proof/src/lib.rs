//! Exactly once, proved: the use-cases as they run, under every fault and in every order.

pub mod real;
