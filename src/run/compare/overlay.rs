//! Settings laid over settings: the tables of a configuration merged key by key; the word `none` takes away what is there.
use toml::{Table, Value};

/// Takes away a setting that may be absent, like the average of the weights: `method.ema = "none"`.
const NONE: &str = "none";

/// Lays `over` on `base`: tables are merged, everything else is replaced. A table whose `name` changes is replaced as a whole: the settings
/// of one optimiser, penalty or model mean nothing to another. A key whose value is [`NONE`] is removed.
pub fn lay(base: &mut Table, over: &Table) {
    merge(base, over, true);
}

/// As [`lay`], on settings that are laid over others later: [`NONE`] stays, to take away then.
pub fn stack(below: &mut Table, over: &Table) {
    merge(below, over, false);
}

fn merge(base: &mut Table, over: &Table, removes: bool) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::String(word)) if removes && word == NONE => {
                base.remove(key);
            }
            (Some(Value::Table(below)), Value::Table(above)) if !renames(below, above) => {
                merge(below, above, removes);
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn renames(below: &Table, above: &Table) -> bool {
    above.contains_key("name") && above.get("name") != below.get("name")
}

/// `method.batch=64` as a table: dotted keys and TOML values; what is no TOML value is a string.
///
/// # Errors
/// If there is no `=`, or the key is none.
pub fn setting(text: &str) -> Result<Table, String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!(
            "`{text}` is no setting; give key=value with a key of config.toml, like method.batch=64"
        ));
    };
    let parse = |value: &str| toml::from_str::<Table>(&format!("{} = {value}", key.trim()));
    parse(value.trim())
        .or_else(|_| parse(&Value::from(value.trim()).to_string()))
        .map_err(|_| format!("`{}` is no key of a configuration", key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn tables_merge_and_the_rest_is_replaced() {
        let mut base = table("seed = 1\nlist = [1, 2]\n[method]\nbatch = 4\nclip = 0.5");
        lay(
            &mut base,
            &table("list = [3]\nmethod.batch = 8\ndata.source = 'x'"),
        );
        let expected = "seed = 1\nlist = [3]\ndata.source = 'x'\n[method]\nbatch = 8\nclip = 0.5";
        assert_eq!(base, table(expected));
    }

    #[test]
    fn none_takes_a_setting_away() {
        let mut base = table("[method]\nbatch = 4\nema = { decay = 0.995 }");
        let gone = table("method = { batch = 4 }");
        lay(&mut base, &setting("method.ema=none").unwrap());
        assert_eq!(base, gone);
        lay(&mut base, &table("method.clip = 'none'"));
        assert_eq!(base, gone);
    }

    #[test]
    fn a_table_of_another_name_replaces_the_whole() {
        let mut base = table("o = { name = 'adam', lr = 1, beta1 = 0.5 }");
        lay(&mut base, &table("o = { name = 'adam', lr = 2 }"));
        assert_eq!(base, table("o = { name = 'adam', lr = 2, beta1 = 0.5 }"));
        lay(&mut base, &table("o = { name = 'sgd', lr = 3 }"));
        assert_eq!(base, table("o = { name = 'sgd', lr = 3 }"));
    }

    #[test]
    fn settings_of_the_command_line() {
        assert_eq!(
            setting("method.batch=64").unwrap(),
            table("method.batch = 64")
        );
        assert_eq!(
            setting("data.source = grid25").unwrap(),
            table("data.source = 'grid25'")
        );
        assert_eq!(
            setting("method.regularisers=[{name=\"r1\",weight=1.0}]").unwrap(),
            table("method.regularisers = [{ name = 'r1', weight = 1.0 }]")
        );
        assert!(setting("method.batch").unwrap_err().contains("key=value"));
        assert!(setting("a b=1").unwrap_err().contains("no key"));
    }
}
