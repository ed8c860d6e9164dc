//! Amounts with units: DSP0004, "Common Information Model", annex C, "Programmatic Units".

/// `amount` of `unit` in bytes; nothing where either is not understood, or it is too much.
pub(super) fn bytes_of(amount: &str, unit: &str) -> Option<u64> {
    amount.trim().parse::<u64>().ok()?.checked_mul(unit_len(unit)?)
}

/// Bytes of a unit: `byte`, `byte * 2^20`, `byte*10^9`, or the words of older editions.
fn unit_len(unit: &str) -> Option<u64> {
    let unit = unit.trim().to_ascii_lowercase();
    let old = match unit.as_str() {
        "" | "byte" | "bytes" => Some(0),
        "kilobytes" | "kb" => Some(10),
        "megabytes" | "mb" => Some(20),
        "gigabytes" | "gb" => Some(30),
        "terabytes" | "tb" => Some(40),
        _ => None,
    };
    if let Some(bits) = old {
        return Some(1 << bits);
    }
    let power = unit.strip_prefix("byte")?.trim().strip_prefix('*')?;
    let (base, exponent) = power.split_once('^')?;
    base.trim().parse::<u64>().ok()?.checked_pow(exponent.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_bytes_times_a_power() {
        for (amount, unit, bytes) in [
            ("7", "byte", 7),
            ("40", "byte * 2^20", 40 << 20),
            ("1", "byte*2^30", 1 << 30),
            ("3", "byte * 10^9", 3_000_000_000),
            ("8192", "MegaBytes", 8 << 30),
        ] {
            assert_eq!(bytes_of(amount, unit), Some(bytes), "{amount} {unit}");
        }
        for (amount, unit) in
            [("${size}", "byte"), ("1", "byte * 2^64"), ("-1", "byte"), ("2", "bit * 2"), ("99", "byte * 2^62")]
        {
            assert_eq!(bytes_of(amount, unit), None, "{amount} {unit}");
        }
    }
}
