//! What a step computes, and what its end changes.

use std::time::Duration;

use super::sequence::Sequence;
use super::{Engine, Finished, LoraId, Output, StepWork};

impl Engine {
    /// Plans a step that begins at `now`; `None` when no sequence can run.
    pub(super) fn schedule(&mut self, now: Duration) -> Option<StepWork> {
        let mut budget = self.config.max_batched_tokens;
        let mut work = StepWork::default();
        let preempted = self.continue_running(&mut budget, &mut work);
        // Whoever lost memory comes before anyone new.
        if !preempted {
            self.admit(now, &mut budget, &mut work);
        }
        (work != StepWork::default()).then_some(work)
    }

    /// Gives every running sequence its tokens, oldest first; the youngest give way when memory lacks. Tells whether any
    /// had to.
    fn continue_running(&mut self, budget: &mut u32, work: &mut StepWork) -> bool {
        let block_size = self.config.block_size;
        let mut preempted = false;
        let mut at = 0;
        while at < self.running.len() && *budget > 0 {
            let sequence = &self.running[at];
            let tokens = (sequence.tokens() - sequence.computed).min(*budget);
            let blocks = (sequence.computed + tokens).div_ceil(block_size);
            let missing = blocks.saturating_sub(sequence.blocks.len() as u32);
            while self.blocks.free() < missing as usize && at < self.running.len() {
                self.preempt_youngest();
                preempted = true;
            }
            // It may have been the youngest itself.
            let Some(sequence) = self.running.get_mut(at) else { break };
            self.blocks.grow(&mut sequence.blocks, missing);
            sequence.scheduled = tokens;
            *budget -= tokens;
            count(sequence, tokens, work);
            if self.config.prefix_caching {
                for (block, hash) in sequence.publish(block_size) {
                    self.blocks.publish(block, hash);
                }
            }
            at += 1;
        }
        preempted
    }

    fn preempt_youngest(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            self.blocks.release(&sequence.reset());
            self.counters.preemptions += 1;
            self.waiting.push_front(sequence);
        }
    }

    /// Admits waiting sequences in order while the budget, the seats and the memory last. Only a sequence whose adapter
    /// finds no slot is passed over.
    fn admit(&mut self, now: Duration, budget: &mut u32, work: &mut StepWork) {
        let mut loras = self.running_loras();
        let mut at = 0;
        while at < self.waiting.len() && *budget > 0 && self.running.len() < self.config.max_num_seqs as usize
        {
            let lora = self.waiting[at].lora();
            if lora.is_some_and(|lora| !loras.contains(&lora))
                && loras.len() >= self.config.max_loras as usize
            {
                at += 1;
                continue;
            }
            let Some(mut sequence) = self.waiting.remove(at) else { break };
            if !self.place(&mut sequence, *budget) {
                self.waiting.insert(at, sequence);
                break;
            }
            *budget -= sequence.scheduled;
            count(&sequence, sequence.scheduled, work);
            sequence.admitted.get_or_insert(now);
            remember(&mut loras, lora);
            self.running.push(sequence);
        }
    }

    /// Finds the sequence's beginning in the cache and takes blocks for its first chunk; false when memory lacks.
    fn place(&mut self, sequence: &mut Sequence, budget: u32) -> bool {
        let block_size = self.config.block_size;
        let hashes = sequence.reusable_hashes(block_size);
        let hits = if self.config.prefix_caching { self.blocks.cached(hashes) } else { 0 };
        let computed = hits * block_size;
        let tokens = (sequence.tokens() - computed).min(budget);
        let fresh = (computed + tokens).div_ceil(block_size) - hits;
        let Some(blocks) = self.blocks.acquire(hashes, hits, fresh) else { return false };
        sequence.blocks = blocks;
        sequence.computed = computed;
        sequence.scheduled = tokens;
        sequence.cached.get_or_insert(computed);
        sequence.mark_published(hits as usize);
        self.counters.cache_queries += u64::from(sequence.tokens());
        self.counters.cache_hits += u64::from(computed);
        if self.config.prefix_caching {
            for (block, hash) in sequence.publish(block_size) {
                self.blocks.publish(block, hash);
            }
        }
        true
    }

    /// Ends the step in flight at `now`: every sequence whose tokens are all computed generates one.
    pub(super) fn commit(&mut self, now: Duration, outputs: &mut Vec<Output>) {
        let Self { running, blocks, counters, config, .. } = self;
        running.retain_mut(|sequence| {
            let computed = std::mem::take(&mut sequence.scheduled);
            if computed == 0 {
                return true;
            }
            if !sequence.is_decoding() {
                counters.prefill_tokens += u64::from(computed);
            }
            sequence.computed += computed;
            if sequence.computed < sequence.tokens() {
                return true;
            }
            sequence.generate(config.block_size);
            counters.generated_tokens += 1;
            let first_token = *sequence.first_token.get_or_insert(now);
            let finished = sequence.is_finished().then(|| Finished {
                prompt_tokens: sequence.prompt_tokens(),
                output_tokens: sequence.generated,
                arrived: sequence.arrived,
                admitted: sequence.admitted.unwrap_or(sequence.arrived),
                first_token,
                ended: now,
            });
            outputs.push(Output {
                id: sequence.id(),
                index: sequence.generated - 1,
                cached_tokens: sequence.cached.unwrap_or(0),
                finished,
            });
            if finished.is_some() {
                counters.finished += 1;
                blocks.release(&sequence.blocks);
            }
            finished.is_none()
        });
    }
}

fn count(sequence: &Sequence, tokens: u32, work: &mut StepWork) {
    if sequence.is_decoding() {
        work.decode_sequences += 1;
        work.decode_context += u64::from(sequence.computed);
    } else {
        work.prefill_tokens += tokens;
    }
}

fn remember(loras: &mut Vec<LoraId>, lora: Option<LoraId>) {
    if let Some(lora) = lora
        && !loras.contains(&lora)
    {
        loras.push(lora);
    }
}
