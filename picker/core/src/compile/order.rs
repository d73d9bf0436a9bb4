//! The order in which producers run: each after those it reads from.

/// All of `roots` and what they lead to, each after what it reads from: `reads[n]` has the instances that instance `n`
/// reads from.
///
/// # Errors
/// Instances that read from each other in a circle, in that order.
pub(super) fn run_order(
    reads: &[Vec<usize>],
    roots: impl Iterator<Item = usize>,
) -> Result<Vec<usize>, Vec<usize>> {
    let mut walk = Walk { reads, done: vec![false; reads.len()], way: Vec::new(), order: Vec::new() };
    for root in roots {
        walk.visit(root)?;
    }
    Ok(walk.order)
}

struct Walk<'a> {
    reads: &'a [Vec<usize>],
    done: Vec<bool>,
    /// From a root to where the walk is.
    way: Vec<usize>,
    order: Vec<usize>,
}

impl Walk<'_> {
    fn visit(&mut self, n: usize) -> Result<(), Vec<usize>> {
        if let Some(start) = self.way.iter().position(|&earlier| earlier == n) {
            return Err(self.way.split_off(start));
        }
        if self.done[n] {
            return Ok(());
        }
        self.way.push(n);
        for &read in &self.reads[n] {
            self.visit(read)?;
        }
        self.way.pop();
        self.done[n] = true;
        self.order.push(n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_run_after_those_they_read_from_and_only_when_asked() {
        let reads = [vec![3], vec![], vec![], vec![1], vec![]];
        assert_eq!(run_order(&reads, [0, 4, 3].into_iter()), Ok(vec![1, 3, 0, 4]));
        assert_eq!(run_order(&reads, std::iter::empty()), Ok(vec![]));
    }

    #[test]
    fn a_circle_is_found_wherever_the_walk_enters_it() {
        let reads = [vec![1], vec![2], vec![3, 1], vec![]];
        assert_eq!(run_order(&reads, [0].into_iter()), Err(vec![1, 2]));
        assert_eq!(run_order(&[vec![0]], [0].into_iter()), Err(vec![0]));
    }
}
