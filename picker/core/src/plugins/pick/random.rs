//! `random-picker`: any candidate, whatever its score.

use std::sync::Arc;

use super::choice::{Params, highest};
use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Picker;

/// Picks with equal probability.
#[derive(Debug)]
pub struct RandomPicker {
    count: usize,
}

impl Plugin for RandomPicker {
    const TYPE: &'static str = "random-picker";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Picks any endpoint, each as likely as the others, whatever its score.";
    const ROLES: &'static [Role] = &[Role::Picker];
    const SAMPLE: &'static str = "\
plugins:
- type: random-picker
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { picker: Some(Arc::new(Self { count: params.count() })), ..Roles::default() })
    }
}

impl Picker for RandomPicker {
    fn pick(&self, _: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        if self.count == 1 {
            let any = cx.below(scored.candidates.len());
            return Picked::from_elem(scored.candidates.at(any) as u32, 1);
        }
        highest(cx, &scored, self.count, |_, _| 0.0, |_| 0)
    }
}
