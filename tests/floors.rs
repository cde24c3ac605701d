//! The house stands: no module imports from a floor above its own. `gpu -> kernels -> graph -> nn -> gan -> run -> cli`, lowest
//! first; `data` is plain code beside them that anything may use and that uses nothing; `metrics` may use graph, nn and data, and
//! stands below gan. wgpu and naga are spoken to on the lowest floor only. Read from the sources, tests in them left out.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of `lib.rs` and what it may import besides itself.
const HOUSE: &[(&str, &[&str])] = &[
    ("data", &[]),
    ("gpu", &["data"]),
    ("kernels", &["data", "gpu"]),
    ("graph", &["data", "gpu", "kernels"]),
    ("nn", &["data", "gpu", "kernels", "graph"]),
    ("metrics", &["data", "graph", "nn"]),
    ("gan", &["data", "gpu", "kernels", "graph", "nn", "metrics"]),
    (
        "run",
        &["data", "gpu", "kernels", "graph", "nn", "metrics", "gan"],
    ),
    (
        "cli",
        &[
            "data", "gpu", "kernels", "graph", "nn", "metrics", "gan", "run",
        ],
    ),
];

/// Crates that only the lowest floor names.
const DRIVERS: [&str; 2] = ["wgpu", "naga"];

/// A piece of source code: a word, or one character of anything else. Comments, strings and white space are left out.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(char),
}
use Token::{Sign, Word};

fn tokens(source: &str) -> Vec<Token> {
    let c: Vec<char> = source.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let is_word = |x: char| x.is_alphanumeric() || x == '_';
    let (mut out, mut i) = (vec![], 0);
    while i < c.len() {
        match (c[i], at(i + 1)) {
            ('/', '/') => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            ('/', '*') => {
                i += 2;
                while i < c.len() && (c[i], at(i + 1)) != ('*', '/') {
                    i += 1;
                }
                i += 2;
            }
            ('"', _) => {
                i += 1;
                while i < c.len() && c[i] != '"' {
                    i += if c[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            ('r', '"' | '#') if i == 0 || !is_word(c[i - 1]) => {
                let hashes = c[i + 1..].iter().take_while(|&&x| x == '#').count();
                if at(i + 1 + hashes) != '"' {
                    i += 1 + hashes; // a raw identifier
                    continue;
                }
                i += 2 + hashes;
                let ends = |i: usize| c[i] == '"' && (1..=hashes).all(|k| at(i + k) == '#');
                while i < c.len() && !ends(i) {
                    i += 1;
                }
                i += 1 + hashes;
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                i += 3;
                while i < c.len() && c[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (x, _) if is_word(x) => {
                let start = i;
                while i < c.len() && is_word(c[i]) {
                    i += 1;
                }
                out.push(Word(c[start..i].iter().collect()));
            }
            (x, _) => {
                if !x.is_whitespace() {
                    out.push(Sign(x));
                }
                i += 1;
            }
        }
    }
    out
}

fn word(t: &Token) -> Option<&str> {
    match t {
        Word(w) => Some(w),
        Sign(_) => None,
    }
}
/// The words and signs of a short piece of code.
fn starts_with(t: &[Token], code: &str) -> bool {
    t.starts_with(&tokens(code))
}

/// Position behind the item that starts at `i`: its closing brace or semicolon.
fn item_end(t: &[Token], mut i: usize) -> usize {
    let mut depth = 0;
    while i < t.len() {
        match t[i] {
            Sign('{' | '(' | '[') => depth += 1,
            Sign(')' | ']') => depth -= 1,
            Sign('}') => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            Sign(';') if depth == 0 => return i + 1,
            _ => {}
        }
        i += 1;
    }
    i
}

/// The code without items under `#[cfg(test)]`, and the names of the modules in files of their own among them.
fn without_tests(t: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut test_modules, mut i) = (vec![], vec![], 0);
    while i < t.len() {
        if !starts_with(&t[i..], "#[cfg(test)]") {
            kept.push(t[i].clone());
            i += 1;
            continue;
        }
        let end = item_end(t, i);
        if let [.., Word(keyword), Word(name), Sign(';')] = &t[i..end]
            && keyword == "mod"
        {
            test_modules.push(name.clone());
        }
        i = end;
    }
    (kept, test_modules)
}

/// The first words of the paths in `use` position `i`: one word, or those of a group in braces.
fn heads(t: &[Token], i: usize) -> Vec<String> {
    match t.get(i) {
        Some(Word(w)) => vec![w.clone()],
        Some(Sign('{')) => {
            let (mut depth, mut heads, mut expected) = (0, vec![], false);
            for token in &t[i..] {
                match token {
                    Sign('{') => {
                        depth += 1;
                        expected = depth == 1;
                    }
                    Sign('}') => depth -= 1,
                    Sign(',') => expected = depth == 1,
                    Word(w) if expected => {
                        heads.push(w.clone());
                        expected = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            heads
        }
        _ => vec![],
    }
}

/// What the code of module `path` (e.g. `["gan", "trainer"]`) imports against the rules.
fn violations(path: &[&str], code: &[Token]) -> BTreeSet<String> {
    let own = path[0];
    let (_, allowed) = HOUSE
        .iter()
        .find(|(m, _)| *m == own)
        .unwrap_or_else(|| panic!("src/{own} has no floor; give it one in HOUSE"));
    let mut found = BTreeSet::new();
    for i in 0..code.len() {
        let after = |path: &str| starts_with(&code[i..], path).then(|| i + tokens(path).len());
        let reached = if let Some(next) = after("crate::") {
            heads(code, next)
        } else if word(&code[i]) == Some("super") {
            // As many steps up as the module is deep lead to the root.
            let mut steps = 1;
            while starts_with(code.get(i + 3 * steps..).unwrap_or(&[]), "super::") {
                steps += 1;
            }
            match steps >= path.len() {
                true => heads(code, i + 3 * steps),
                false => vec![],
            }
        } else {
            vec![]
        };
        for head in reached {
            let known = HOUSE.iter().any(|(m, _)| *m == head);
            if known && head != own && !allowed.contains(&head.as_str()) {
                found.insert(format!("{} imports from {head}", path.join("::")));
            }
        }
        for driver in DRIVERS {
            // `x::wgpu::` is someone's module, not the crate.
            let inner = matches!(&code[..i], [.., Word(_), Sign(':'), Sign(':')]);
            if own != "gpu" && !inner && after(&format!("{driver}::")).is_some() {
                found.insert(format!("{} names {driver}", path.join("::")));
            }
        }
    }
    found
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// `src/gan/trainer/mod.rs` -> `["gan", "trainer"]`
fn module_path(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let mut path: Vec<String> = file
        .iter()
        .map(|part| part.to_str().unwrap().to_string())
        .collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

#[test]
fn no_import_points_upward() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    rust_files(&src, &mut files);
    let mut modules: Vec<(Vec<String>, Vec<Token>)> = vec![];
    let mut tests: Vec<Vec<String>> = vec![];
    for file in files {
        let path = module_path(file.strip_prefix(&src).unwrap());
        if ["main", "lib"].contains(&path[0].as_str()) {
            continue;
        }
        let (code, test_modules) = without_tests(&tokens(&fs::read_to_string(&file).unwrap()));
        tests.extend(
            test_modules
                .into_iter()
                .map(|m| [path.clone(), vec![m]].concat()),
        );
        modules.push((path, code));
    }
    modules.retain(|(path, _)| !tests.iter().any(|t| path.starts_with(t)));
    assert!(modules.len() > 80, "{} modules", modules.len());
    let mut found = BTreeSet::new();
    for (path, code) in &modules {
        let path: Vec<&str> = path.iter().map(|s| s.as_str()).collect();
        found.extend(violations(&path, code));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_house_lists_the_modules_of_the_library() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = tokens(&fs::read_to_string(lib).unwrap());
    let declared = lib.windows(3).filter_map(|t| match t {
        [Word(keyword), Word(name), Sign(';')] if keyword == "mod" => Some(name.as_str()),
        _ => None,
    });
    let listed: BTreeSet<&str> = HOUSE.iter().map(|h| h.0).collect();
    assert_eq!(declared.collect::<BTreeSet<_>>(), listed);
    // From below to above, each may use only what stands before it.
    for (i, (module, allowed)) in HOUSE.iter().enumerate() {
        for other in *allowed {
            assert!(
                HOUSE[..i].iter().any(|h| h.0 == *other),
                "{module} -> {other}"
            );
        }
    }
}

/// What the rule finds in a module's source.
fn judge(path: &str, source: &str) -> Vec<String> {
    let path: Vec<&str> = path.split("::").collect();
    let (code, _) = without_tests(&tokens(source));
    violations(&path, &code).into_iter().collect()
}

#[test]
fn a_breach_is_found() {
    let found = |path, source| assert_eq!(judge(path, source).len(), 1, "{path}: {source}");
    found("gan::trainer", "use crate::run::train;");
    found("gan::trainer", "fn f() { crate::cli::main() }");
    found(
        "nn::models",
        "use crate::{graph::{Expr, Graph}, gan::Objective};",
    );
    found("nn::models", "use super::super::gan::Objective;");
    found("nn", "use super::gan;");
    found("gpu", "use crate::kernels::adam;");
    found("data::idx", "use crate::gpu::Gpu;");
    found("metrics::toy", "use crate::gan::Objective;");
    found("kernels::adam", "use wgpu::Buffer;");
    found("graph::plan", "fn f(x: naga::Module) {}");
    found("graph::plan", "fn f(x: ::wgpu::Device) {}");
    // What follows a test module is no test.
    found(
        "nn",
        "#[cfg(test)] mod tests { use crate::run; } use crate::gan;",
    );
    found("nn", "const A: char = '\"'; use crate::gan; // \"");
}

#[test]
fn what_is_no_breach_is_not() {
    let fine = |path, source| assert_eq!(judge(path, source), Vec::<String>::new(), "{source}");
    fine(
        "gan::trainer",
        "use crate::{data, graph::Expr, gan::Objective};",
    );
    fine("gan::trainer", "use super::run::thing; use self::cli;");
    fine(
        "gan",
        "// crate::run\n/* use crate::run; */ /// [`crate::run`]\n",
    );
    fine(
        "gan",
        "const A: &str = \"crate::run\"; const B: &str = r#\"\"crate::run\"#;",
    );
    fine(
        "kernels::adam",
        "#[cfg(test)] #[allow(x)] mod tests { use crate::run; fn f() {} }",
    );
    fine("kernels::adam", "use crate::gpu::wgpu::x;");
    fine("gpu::device", "use wgpu::Device;");
    fine("run", "use crate::metrics;");
}
