//! "Did you mean": the nearest of the known names.

/// ` (did you mean `ring8`?)` if one of `known` is close to `name`, otherwise nothing. Goes after the wrong name in a message.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let name = name.to_lowercase();
    let best = known
        .into_iter()
        .map(|k| {
            let similarity = strsim::jaro_winkler(&name, k);
            // "dcgan" is not close to "mnist-dcgan" letter by letter, but a part of it.
            let part = name.len() >= 3 && k.split(['-', '_']).any(|word| word == name);
            (
                if part {
                    similarity.max(0.9)
                } else {
                    similarity
                },
                k,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((similarity, k)) if similarity >= 0.75 => format!(" (did you mean `{k}`?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn close_names_are_suggested_and_distant_ones_are_not() {
        let known = ["mnist-mlp", "mnist-dcgan", "ring8", "gauss1d"];
        assert_eq!(suggestion("ring9", known), " (did you mean `ring8`?)");
        assert_eq!(
            suggestion("mnist-dcagn", known),
            " (did you mean `mnist-dcgan`?)"
        );
        assert_eq!(suggestion("dcgan", known), " (did you mean `mnist-dcgan`?)");
        assert_eq!(suggestion("zebra", known), "");
        assert_eq!(suggestion("x", []), "");
    }
}
