//! Where in a program an expression was made: for profiles and error messages, never for the arithmetic.
use super::{Expr, Graph};

/// The scope in which a node was first made, and how often it is a derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    scope: u32,
    /// 0 for what the caller wrote, 1 for what a gradient rule made of it, 2 for a derivative of that, ..
    pub order: u8,
}

/// The names of scopes and the one in force. Scope 0 is the outermost, with an empty name.
pub(super) struct Origins {
    names: Vec<String>,
    now: Origin,
    of: Vec<Origin>,
}

impl Default for Origins {
    fn default() -> Self {
        Origins {
            names: vec![String::new()],
            now: Origin::default(),
            of: vec![],
        }
    }
}

impl Origins {
    /// The next node is made here.
    pub fn note(&mut self) {
        self.of.push(self.now);
    }
}

impl Graph {
    /// Names what is built from here on, within the scope in force: `d`, then `0 conv2d`, make `d.0 conv2d`. Equal expressions stay
    /// one node, which belongs to the scope that made it first. Give the result to [`Graph::restore_scope`].
    pub fn enter_scope(&mut self, name: &str) -> Origin {
        let outer = self.origins.now;
        let full = match self.origins.names[outer.scope as usize].as_str() {
            "" => name.to_string(),
            within => format!("{within}.{name}"),
        };
        let known = self.origins.names.iter().position(|n| *n == full);
        let scope = known.unwrap_or_else(|| {
            self.origins.names.push(full);
            self.origins.names.len() - 1
        });
        self.origins.now.scope = scope as u32;
        outer
    }
    /// Goes back to a scope that was in force before; to the outermost with `Origin::default()`.
    pub fn restore_scope(&mut self, outer: Origin) {
        self.origins.now = outer;
    }
    /// What is built from here on belongs to the derivative of `e`'s scope.
    pub(super) fn differentiate_scope(&mut self, e: Expr) {
        let Origin { scope, order } = self.origin(e);
        let order = order.saturating_add(1);
        self.origins.now = Origin { scope, order };
    }
    /// The scope in force, for [`Graph::restore_scope`].
    pub fn current_scope(&self) -> Origin {
        self.origins.now
    }
    /// Where the expression was made.
    pub fn origin(&self, e: Expr) -> Origin {
        self.origins.of[e.index()]
    }
    /// The name of the scope in which the expression was made; empty outside all scopes.
    pub fn scope(&self, e: Expr) -> &str {
        &self.origins.names[self.origin(e).scope as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_belong_to_the_scope_of_what_they_differentiate() {
        let mut g = Graph::new();
        let x = g.leaf("x", [3]);
        let outer = g.enter_scope("d");
        let layer = g.enter_scope("0 tanh");
        let y = g.tanh(x);
        g.restore_scope(layer);
        let loss = g.sum_all(y).unwrap();
        g.restore_scope(outer);
        let dx = g.gradients(loss, &[x]).unwrap()[0];
        let norm = g.square(dx).unwrap();
        let norm = g.sum_all(norm).unwrap();
        let second = g.gradients(norm, &[x]).unwrap()[0];
        let at = |e: Expr| (g.scope(e).to_string(), g.origin(e).order);
        assert_eq!(at(x), (String::new(), 0));
        assert_eq!(at(y), ("d.0 tanh".to_string(), 0));
        assert_eq!(at(loss), ("d".to_string(), 0));
        assert_eq!(at(dx), ("d.0 tanh".to_string(), 1));
        assert_eq!(at(norm), (String::new(), 0), "the scope is as it was");
        let made: Vec<u8> = g.exprs().map(|e| g.origin(e).order).collect();
        assert!(made.contains(&2), "the rule of 1 - y^2 is of second order");
        assert_eq!(at(second).0, "d.0 tanh");
    }

    #[test]
    fn a_scope_changes_no_identity() {
        let mut g = Graph::new();
        let x = g.leaf("x", [3]);
        let a = g.tanh(x);
        let outer = g.enter_scope("later");
        let b = g.tanh(x);
        g.restore_scope(outer);
        assert_eq!(a, b);
        assert_eq!(g.scope(b), "", "the first scope wins");
    }
}
