//! What a million photos cost on AWS Lambda, from measured processor time and the command's table of prices.

use std::sync::LazyLock;

use toml::{Table, Value};

static PRICES: LazyLock<Table> = LazyLock::new(|| {
    let table = include_str!("../../crates/cli-bin/src/prices.toml");
    table.parse().expect("the table of prices is TOML")
});

fn lambda(name: &str) -> f64 {
    let number = match &PRICES["lambda"][name] {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    };
    number.expect("the table of prices has numbers")
}

/// MB of memory at which a function has one whole core.
pub(crate) fn memory_mb() -> f64 {
    lambda("core_mb")
}

/// Where the prices are from.
pub(crate) fn source() -> &'static str {
    PRICES["source"]
        .as_str()
        .expect("the table says its source")
}

/// What a function runs on.
#[derive(Clone, Copy)]
pub(crate) enum Processor {
    X86_64,
    Arm64,
}

/// Dollars for a million photos that take `seconds` each, on one core of its own.
pub(crate) fn of_a_million(seconds: f64, processor: Processor) -> f64 {
    let price = lambda(match processor {
        Processor::X86_64 => "x86_64_gb_second",
        Processor::Arm64 => "arm64_gb_second",
    });
    // Billed by the millisecond, begun ones whole; a GB here is 1,024 MB.
    let billed = (seconds * 1000.0).ceil() / 1000.0;
    billed * (memory_mb() / 1024.0) * price * 1e6 + lambda("million_requests")
}

#[cfg(test)]
mod tests {
    use super::Processor::{Arm64, X86_64};
    use super::*;

    #[test]
    fn a_second_on_each_of_a_million_photos_costs_what_the_prices_say() {
        assert!((of_a_million(1.0, X86_64) - 28.99).abs() < 0.01);
        assert!((of_a_million(1.0, Arm64) - 23.23).abs() < 0.01);
        assert!(of_a_million(0.0, X86_64) < 0.21);
        let begun = of_a_million(0.0101, X86_64);
        assert!((begun - of_a_million(0.011, X86_64)).abs() < 1e-9);
    }
}
