//! What a million photos cost on AWS Lambda, from measured processor time.

/// MB of memory at which a function has one whole core (AWS Lambda's guide, "Configure function memory").
pub(crate) const MEMORY_MB: f64 = 1769.0;
/// Where the prices are from.
pub(crate) const SOURCE: &str =
    "as listed for US East (N. Virginia), first tier, in May 2026; look at AWS's page for today's";
/// Dollars for a GB of memory, a second long.
pub(crate) const X86_64: f64 = 0.000_016_666_7;
/// The same on arm64.
pub(crate) const ARM64: f64 = 0.000_013_333_4;
/// Dollars for a million requests.
const REQUESTS: f64 = 0.20;

/// Dollars for a million photos that take `seconds` each, on one core of its own.
pub(crate) fn of_a_million(seconds: f64, price: f64) -> f64 {
    // Billed by the millisecond, begun ones whole; a GB here is 1,024 MB.
    let billed = (seconds * 1000.0).ceil() / 1000.0;
    billed * (MEMORY_MB / 1024.0) * price * 1e6 + REQUESTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_on_each_of_a_million_photos_costs_what_the_prices_say() {
        assert!((of_a_million(1.0, X86_64) - 28.99).abs() < 0.01);
        assert!((of_a_million(1.0, ARM64) - 23.23).abs() < 0.01);
        assert!(of_a_million(0.0, X86_64) < 0.21);
        let begun = of_a_million(0.0101, X86_64);
        assert!((begun - of_a_million(0.011, X86_64)).abs() < 1e-9);
    }
}
