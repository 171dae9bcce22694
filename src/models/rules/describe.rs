//! Describes rules by the names of their features.

use crate::describe::{self, Leaf, Linear, NamedColumn, Rule, Rules, Test};

use super::{AmRules, Literal, RuleView};

impl AmRules {
    /// Describes all rules and the default rule; `columns` name the features.
    pub(super) fn described(&self, columns: &[NamedColumn]) -> Rules {
        let rule = |rule: RuleView<'_>| Rule {
            literals: rule.literals.iter().map(|literal| literal.describe(columns)).collect(),
            predicts: rule.describe(columns),
        };
        Rules { rules: self.rules().map(rule).collect(), default: self.default_rule().describe(columns) }
    }
}

impl RuleView<'_> {
    fn describe(&self, columns: &[NamedColumn]) -> Leaf {
        Leaf {
            n: self.n,
            mean: self.prediction,
            // Rounding can leave a variance just below 0.
            deviation: self.variance.max(0.0).sqrt(),
            active: true,
            uses_model: !self.predicts_mean,
            model: self.model.map(|model| Linear::new(model.intercept(), model.weights(), columns)),
        }
    }
}

impl Literal {
    fn describe(&self, columns: &[NamedColumn]) -> describe::Literal {
        let column = describe::column(columns, self.feature());
        let (test, holds) = match *self {
            Literal::AtMost { threshold, .. } => (Test::at_most(threshold, &column), true),
            Literal::Above { threshold, .. } => (Test::at_most(threshold, &column), false),
            Literal::Is { category, .. } => (Test::Is { category: column.category(category) }, true),
            Literal::IsNot { category, .. } => (Test::Is { category: column.category(category) }, false),
        };
        describe::Literal { feature: column.name, test, holds }
    }
}
