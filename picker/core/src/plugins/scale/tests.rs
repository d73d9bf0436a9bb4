use super::*;

const NAN: f32 = f32::NAN;

fn costs(scale: fn(std::slice::Iter<'_, f32>) -> Scale, values: &[f32]) -> Vec<f64> {
    let scale = scale(values.iter());
    values.iter().map(|&value| scale.cost(value)).collect()
}

#[test]
fn the_least_costs_nothing_and_an_unknown_value_the_mean() {
    let relative = |values: &[f32]| costs(|values| Scale::relative(values.copied()), values);
    assert_eq!(relative(&[3.0, 1.0, 5.0]), [0.5, 0.0, 1.0]);
    assert_eq!(relative(&[1.0, NAN, 5.0, 5.0]), [0.0, 2.0 / 3.0, 1.0, 1.0]);
    assert_eq!(relative(&[4.0, NAN, f32::INFINITY]), [0.0; 3]);
    assert_eq!(relative(&[NAN, NAN]), [0.0; 2]);
    assert_eq!(relative(&[f32::MIN, 0.0, f32::MAX]), [0.0, 0.5, 1.0]);
}

#[test]
fn a_share_costs_itself_and_an_unknown_one_the_mean() {
    let share = |values: &[f32]| costs(|values| Scale::share(values.copied()), values);
    assert_eq!(share(&[0.25, NAN, 0.75]), [0.25, 0.5, 0.75]);
    assert_eq!(share(&[1.5, -1.0, NAN]), [1.0, 0.0, 0.5]);
    assert_eq!(share(&[NAN]), [0.0]);
}

#[test]
fn a_weight_is_the_first_that_is_given_and_no_less_than_nothing() {
    assert_eq!(weight(&[("a", None), ("b", Some(0.5))], 1.0), Ok(0.5));
    assert_eq!(weight(&[("a", Some(2.0)), ("b", Some(0.5))], 1.0), Ok(2.0));
    assert_eq!(weight(&[("a", None)], 1.0), Ok(1.0));
    for wrong in [-0.5, NAN, f32::INFINITY] {
        let error = weight(&[("a", None), ("b", Some(wrong))], 1.0);
        assert_eq!(error, Err(BuildError::invalid("b", "must be at least 0")));
    }
}
