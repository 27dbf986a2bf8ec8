//! What the cloud asks for it: the table in `prices.toml`, and what follows from it.

use serde::Deserialize;

/// The table of prices, with its source and date.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// Where and when these prices held.
    pub(crate) source: String,
    pub(crate) lambda: LambdaPrices,
    pub(crate) s3: S3Prices,
}

/// In dollars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LambdaPrices {
    x86_64_gb_second: f64,
    arm64_gb_second: f64,
    million_requests: f64,
    /// MB of memory at which a function has one whole core.
    pub(crate) core_mb: f64,
}

/// In dollars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3Prices {
    thousand_puts: f64,
    thousand_gets: f64,
    gb_month: f64,
}

/// What a run asks of the cloud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// Lambda's, at [`LambdaPrices::core_mb`].
    pub(crate) gb_seconds: f64,
    pub(crate) invocations: f64,
    pub(crate) puts: f64,
    pub(crate) gets: f64,
    pub(crate) stored_bytes: f64,
}

/// Dollars.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Bill {
    /// Lambda's memory and invocations, on x86-64.
    pub(crate) lambda_x86_64: f64,
    /// The same on arm64, if it takes as much processor time there.
    pub(crate) lambda_arm64: f64,
    pub(crate) s3_requests: f64,
    pub(crate) s3_storage_a_month: f64,
}

impl Prices {
    /// The table that is built in.
    pub(crate) fn built_in() -> Self {
        toml::from_str(include_str!("prices.toml")).expect("a test reads the table")
    }

    /// GB-seconds of one invocation with a core of its own: billed by the millisecond, begun ones whole.
    pub(crate) fn gb_seconds(&self, seconds: f64) -> f64 {
        (seconds * 1000.0).ceil() / 1000.0 * (self.lambda.core_mb / 1024.0)
    }

    pub(crate) fn bill(&self, demand: &Demand) -> Bill {
        let invocations = demand.invocations / 1e6 * self.lambda.million_requests;
        let gigabyte = f64::from(1 << 30);
        Bill {
            lambda_x86_64: demand.gb_seconds * self.lambda.x86_64_gb_second + invocations,
            lambda_arm64: demand.gb_seconds * self.lambda.arm64_gb_second + invocations,
            s3_requests: demand.puts / 1e3 * self.s3.thousand_puts
                + demand.gets / 1e3 * self.s3.thousand_gets,
            s3_storage_a_month: demand.stored_bytes / gigabyte * self.s3.gb_month,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.005
    }

    #[test]
    fn a_second_on_each_of_a_million_pictures_costs_what_the_table_says() {
        let prices = Prices::built_in();
        let demand = Demand {
            gb_seconds: prices.gb_seconds(1.0) * 1e6,
            invocations: 1e6,
            puts: 6e6,
            gets: 4e6,
            stored_bytes: 100.0 * f64::from(1 << 30),
        };
        let bill = prices.bill(&demand);
        assert!(near(bill.lambda_x86_64, 28.99), "{bill:?}");
        assert!(near(bill.lambda_arm64, 23.23), "{bill:?}");
        assert!(near(bill.s3_requests, 31.60), "{bill:?}");
        assert!(near(bill.s3_storage_a_month, 2.30), "{bill:?}");
    }

    #[test]
    fn a_begun_millisecond_is_billed_whole() {
        let prices = Prices::built_in();
        let begun = prices.gb_seconds(0.0101);
        assert!((begun - prices.gb_seconds(0.011)).abs() < 1e-12);
        assert!(prices.gb_seconds(0.0).abs() < 1e-12);
    }
}
