//! The cost of a million operations of one kind: their counted use of AWS, times the price list.

/// The AWS resources that one operation uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use {
    pub api_requests: f64,
    /// Lambda invocations.
    pub lambda_requests: f64,
    /// DynamoDB write units. Each started kilobyte of the item is one.
    pub write_units: f64,
    /// DynamoDB read units. A consistent read of up to four kilobytes is one.
    pub read_units: f64,
    pub billed_ms: f64,
    pub memory_mb: f64,
    /// Bytes of log lines: those of the function, of Lambda and of the API.
    pub log_bytes: f64,
    /// Bytes that leave AWS: requests to the CRM and the response to the caller.
    pub egress_bytes: f64,
    /// KMS decryptions: our own, and those that Parameter Store does for us.
    pub kms_requests: f64,
}

/// Prices in dollars: us-east-1, arm64, on demand, no free tier.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    pub api_request: f64,
    pub lambda_request: f64,
    pub lambda_gb_second: f64,
    pub write_unit: f64,
    pub read_unit: f64,
    pub log_gb: f64,
    pub egress_gb: f64,
    pub kms_request: f64,
}

/// The prices that AWS published in 2025.
pub const US_EAST_1: Prices = Prices {
    api_request: 1.00e-6,
    lambda_request: 0.20e-6,
    lambda_gb_second: 13.3334e-6,
    write_unit: 0.625e-6,
    read_unit: 0.125e-6,
    log_gb: 0.50,
    egress_gb: 0.09,
    kms_request: 3.00e-6,
};

/// One line of the bill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub name: &'static str,
    /// Dollars for a million operations.
    pub per_million: f64,
}

/// Returns the bill for a million operations.
pub fn per_million(used: &Use, prices: &Prices) -> Vec<Position> {
    const GB: f64 = 1e9;
    let gb_seconds = used.billed_ms / 1_000.0 * used.memory_mb / 1_024.0;
    [
        ("HTTP API, requests", used.api_requests * prices.api_request),
        ("Lambda, requests", used.lambda_requests * prices.lambda_request),
        ("Lambda, GB-seconds", gb_seconds * prices.lambda_gb_second),
        ("DynamoDB, write units", used.write_units * prices.write_unit),
        ("DynamoDB, read units", used.read_units * prices.read_unit),
        ("CloudWatch, log bytes", used.log_bytes / GB * prices.log_gb),
        ("Egress, bytes", used.egress_bytes / GB * prices.egress_gb),
        ("KMS, decryptions", used.kms_requests * prices.kms_request),
    ]
    .map(|(name, one)| Position { name, per_million: one * 1e6 })
    .to_vec()
}

/// Returns the sum of a bill in dollars.
pub fn total(bill: &[Position]) -> f64 {
    bill.iter().map(|position| position.per_million).sum()
}
