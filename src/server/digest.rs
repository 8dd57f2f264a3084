//! Sums that compare a source's table and the ledger, range by range, without reading either into memory: both sides
//! calculate the same sums.
//!
//! A number of rows and sums of ids and retries miss changes that cancel each other out (3 → 0 in one row and 0 → 3 in
//! another), and so does any sum that is linear in the retries. The last sum squares a mixture of id and retries modulo
//! a prime: after changes in several rows it is the same only with a chance of one in two thousand million.

/// The modulus of a row's id before it is multiplied, so that no number exceeds 63 bits.
const IDS: i64 = 1_000_003;
const RETRIES: i64 = 65_537;
const MIX: i64 = 2_147_483_629;
const SUM: i64 = 2_147_483_587;

/// The sums of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    pub rows: i64,
    pub ids: i64,
    pub retries: i64,
    pub mixed: i64,
}

/// Returns the last three sums as SQL. `id`, `retries` and `mark` (which the source calculates from the row's event id
/// and feed) are expressions of signed 64-bit numbers that are never NULL; in all three dialects a remainder has the
/// sign of the dividend.
pub fn sums(id: &str, retries: &str, mark: &str) -> [String; 3] {
    let (id, retries) = (format!("(({id}) % {IDS})"), format!("(({retries}) % {RETRIES})"));
    let mixture = format!("(({id} * 7919 + {retries} * 104729 + (({mark}) % {IDS}) * 1299709 + 13) % {MIX})");
    [format!("SUM({id})"), format!("SUM({retries})"), format!("SUM(({mixture} * {mixture}) % {SUM})")]
}

/// The value for retries that are NULL or missing.
pub const NO_RETRIES: i64 = -1;

/// Returns the lowest and the highest id of a bucket. A row's bucket is `id / width`, rounded towards zero in all three
/// dialects.
pub fn bucket(number: i64, width: i64) -> (i64, i64) {
    let first = number.saturating_mul(width);
    match number {
        0 => (1 - width, width - 1),
        1.. => (first, first.saturating_add(width - 1)),
        _ => (first.saturating_sub(width - 1), first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_lies_in_its_own_bucket() {
        for width in [1, 7, 2048] {
            for id in (-30..30).chain([i64::MIN + 1, i64::MAX, i64::MAX - 1]) {
                let (first, last) = bucket(id / width, width);
                assert!((first..=last).contains(&id), "{id} in {first}..={last} of width {width}");
            }
        }
    }
}
