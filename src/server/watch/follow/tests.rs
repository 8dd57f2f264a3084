use super::*;

#[test]
fn buckets_grow_with_the_table_and_no_sooner() {
    assert_eq!(width_for(None, NARROWEST), NARROWEST);
    assert_eq!(width_for(Some((1, 1_000_000)), NARROWEST), NARROWEST);
    assert_eq!(width_for(Some((1, 10_000_000)), NARROWEST), 32_768);
    assert_eq!(width_for(Some((1, 10)), 32_768), 32_768, "what is in use stays");
    let widest = width_for(Some((i64::MIN, i64::MAX)), NARROWEST);
    assert!(u64::MAX / u64::try_from(widest).unwrap() <= 2 * u64::try_from(BUCKETS).unwrap());
}
