//! Each fault at each step.
