//! Makes polynomials of a row, the terms of the regression.
//!
//! Invariant: terms are only ever appended, and keep their meaning until [`Basis::choose`] or [`Basis::renew`] returns
//! them. Every input has a linear term; products are made of the inputs that have a slot, whose number is bounded so
//! that a row has at most 252 terms. What this does not do: weights.

use serde::{Deserialize, Serialize};

use crate::{
    NamedColumn,
    describe::{Linear, Weight},
    least_squares::{MAX_INPUTS, Screening},
};
use thalweg_metrics::checked;

/// The polynomials that are terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// The features themselves.
    Linear,
    /// With their squares and products of two, of 16 features at most.
    Degree2,
    /// With their squares and cubes, products of two, and a square times another, of 10 features at most.
    Pair3,
}

checked!(enum Form = Linear | Degree2 | Pair3);

impl Form {
    /// Returns the maximum number of inputs that take part in products.
    fn slots(self) -> usize {
        match self {
            Form::Linear => 0,
            Form::Degree2 => MAX_SLOTS,
            Form::Pair3 => 10,
        }
    }
}

const MAX_SLOTS: usize = 16;

/// Buffer for a row of terms.
pub(super) type Terms = [f64; MAX_TERMS];

const MAX_TERMS: usize = 256;

/// Numbers of the factors that terms are products of: 1, the inputs, and for each slot the polynomials of its input.
const CONSTANT_FACTOR: usize = 0;
const FIRST_INPUT: usize = 1;
const FIRST_SLOT: usize = FIRST_INPUT + MAX_INPUTS;
/// Number of polynomials of a slot: z, .7(z² − 1), .4(z³ − 1.8z) and .6(z² − 1), all of about the same size, and the
/// even ones nearly orthogonal to the intercept.
const FACTORS_PER_SLOT: usize = 4;

/// The terms, as products of two factors each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Basis {
    form: Form,
    inputs: usize,
    /// Input of each slot.
    slots: Vec<usize>,
    terms: Vec<[u8; 2]>,
    /// Present once there are more inputs than slots.
    screening: Option<Screening>,
}

checked!(Basis { form, inputs, slots, terms, screening } then fits);

impl Basis {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { form, inputs, slots, terms, screening } = self;
        let most = form.slots().min(*inputs);
        let full = *inputs <= MAX_INPUTS && slots.len() == most && slots.iter().all(|input| input < inputs);
        let last = FIRST_SLOT + FACTORS_PER_SLOT * most;
        if !full || terms.len() > MAX_TERMS || !terms.as_flattened().iter().all(|f| usize::from(*f) < last) {
            return Err("a polynomial has terms of nothing");
        }
        if screening.as_ref().is_some_and(|screening| screening.len() > *inputs) {
            return Err("the features of a polynomial's terms are chosen from more than there are");
        }
        if screening.is_some() != (*inputs > most && *form != Form::Linear) {
            return Err("the features of a polynomial's terms are chosen where there is nothing to choose");
        }
        Ok(())
    }
}

/// Returns the factor of the `k`-th polynomial of a slot.
fn factor(slot: usize, k: usize) -> usize {
    FIRST_SLOT + FACTORS_PER_SLOT * slot + k
}

impl Basis {
    /// Makes a basis of the intercept alone.
    pub(super) fn new(form: Form) -> Self {
        Self { form, inputs: 0, slots: Vec::new(), terms: vec![[CONSTANT_FACTOR as u8; 2]], screening: None }
    }

    /// Number of terms.
    pub(super) fn len(&self) -> usize {
        self.terms.len()
    }

    /// Returns the degree of term `i`.
    pub(super) fn degree(&self, i: usize) -> usize {
        let of = |f: u8| match usize::from(f) {
            CONSTANT_FACTOR => 0,
            f if f < FIRST_SLOT => 1,
            f => [1, 2, 3, 2][(f - FIRST_SLOT) % FACTORS_PER_SLOT],
        };
        self.terms[i].map(of).iter().sum()
    }

    /// Appends the terms of further inputs, up to `n` of them.
    pub(super) fn grow(&mut self, n: usize) {
        if n <= self.inputs {
            return;
        }
        let mut terms = Vec::new();
        let mut add = |a: usize, b: usize| terms.push([a as u8, b as u8]);
        (self.inputs..n).for_each(|i| add(FIRST_INPUT + i, CONSTANT_FACTOR));
        for slot in self.slots.len()..n.min(self.form.slots()) {
            self.slots.push(slot);
            add(factor(slot, 1), CONSTANT_FACTOR);
            (0..slot).for_each(|other| add(factor(other, 0), factor(slot, 0)));
            if self.form == Form::Pair3 {
                add(factor(slot, 2), CONSTANT_FACTOR);
                for other in 0..slot {
                    add(factor(other, 3), factor(slot, 0));
                    add(factor(slot, 3), factor(other, 0));
                }
            }
        }
        self.terms.reserve_exact(terms.len());
        self.terms.append(&mut terms);
        self.slots.shrink_to_fit();
        self.inputs = n;
        if n > self.slots.len() && self.form != Form::Linear {
            self.screening.get_or_insert_default();
        }
    }

    /// Writes the terms of a row into `buffer`.
    pub(super) fn terms<'a>(&self, z: &[f64], buffer: &'a mut Terms) -> &'a [f64] {
        // As long as a factor's number can be, so that no access needs a check.
        let mut factors = [0.0; 256];
        factors[CONSTANT_FACTOR] = 1.0;
        let known = z.len().min(self.inputs);
        factors[FIRST_INPUT..FIRST_INPUT + known].copy_from_slice(&z[..known]);
        for (slot, input) in self.slots.iter().enumerate() {
            let z = factors[FIRST_INPUT + input];
            let square = z * z - 1.0;
            let polynomials = [z, 0.7 * square, 0.4 * (z * z * z - 1.8 * z), 0.6 * square];
            factors[factor(slot, 0)..factor(slot + 1, 0)].copy_from_slice(&polynomials);
        }
        let terms = &mut buffer[..self.terms.len()];
        for (term, [a, b]) in terms.iter_mut().zip(&self.terms) {
            *term = factors[usize::from(*a)] * factors[usize::from(*b)];
        }
        terms
    }

    /// Learns which inputs correlate with the target; returns the slot that has another input from now on, if one does.
    pub(super) fn choose(&mut self, z: &[f64], y: f64) -> Option<usize> {
        let screening = self.screening.as_mut()?;
        screening.learn(z.iter().copied(), y);
        let (slot, input) = screening.exchange(&self.slots)?;
        self.slots[slot] = input;
        Some(slot)
    }

    /// Forgets input `i`, which is another feature from now on; returns its linear term, and its slot if it has one.
    pub(super) fn renew(&mut self, i: usize) -> (Option<usize>, Option<usize>) {
        if let Some(screening) = &mut self.screening {
            screening.renew(i);
        }
        let linear = [(FIRST_INPUT + i) as u8, CONSTANT_FACTOR as u8];
        let term = self.terms.iter().position(|term| *term == linear);
        (term, self.slots.iter().position(|input| *input == i))
    }

    /// Returns the terms that a slot takes part in.
    pub(super) fn terms_of_slot(&self, slot: usize) -> Vec<usize> {
        let of = factor(slot, 0)..factor(slot + 1, 0);
        let takes_part = |term: &[u8; 2]| term.iter().any(|f| of.contains(&usize::from(*f)));
        (0..self.terms.len()).filter(|i| takes_part(&self.terms[*i])).collect()
    }

    /// Expresses the weighted sum of terms in powers of the standardised features.
    pub(super) fn describe(&self, weights: &[f64], inputs: &[NamedColumn]) -> Linear {
        let mut sum = Linear { intercept: 0.0, weights: Vec::new() };
        for (term, weight) in self.terms.iter().zip(weights) {
            let [a, b] = term.map(|f| self.powers(usize::from(f)));
            for (x, power_a, share_a) in &a {
                for (y, power_b, share_b) in &b {
                    let share = weight * share_a * share_b;
                    let name = match (power_a, power_b) {
                        (0, 0) => {
                            sum.intercept += share;
                            continue;
                        }
                        (_, 0) => power(inputs, *x, *power_a),
                        (0, _) => power(inputs, *y, *power_b),
                        _ => format!("{}*{}", power(inputs, *x, *power_a), power(inputs, *y, *power_b)),
                    };
                    match sum.weights.iter_mut().find(|known| known.feature == name) {
                        Some(known) => known.weight += share,
                        None => sum.weights.push(Weight { feature: name, weight: share }),
                    }
                }
            }
        }
        sum
    }

    /// Expresses a factor as a sum of (input, power, share).
    fn powers(&self, f: usize) -> Vec<(usize, u32, f64)> {
        if f == CONSTANT_FACTOR {
            return vec![(0, 0, 1.0)];
        }
        if f < FIRST_SLOT {
            return vec![(f - FIRST_INPUT, 1, 1.0)];
        }
        let input = self.slots[(f - FIRST_SLOT) / FACTORS_PER_SLOT];
        match (f - FIRST_SLOT) % FACTORS_PER_SLOT {
            0 => vec![(input, 1, 1.0)],
            1 => vec![(input, 2, 0.7), (input, 0, -0.7)],
            2 => vec![(input, 3, 0.4), (input, 1, -0.72)],
            _ => vec![(input, 2, 0.6), (input, 0, -0.6)],
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let screening = self.screening.as_ref().map_or(0, Screening::heap_bytes);
        size_of_val(self.slots.as_slice()) + size_of_val(self.terms.as_slice()) + screening
    }
}

/// Names a power of an input, as `x0^2`.
fn power(inputs: &[NamedColumn], i: usize, power: u32) -> String {
    let name = crate::describe::column(inputs, i).name;
    if power == 1 { name } else { format!("{name}^{power}") }
}
