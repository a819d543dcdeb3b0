//! Samplers by name and by letter, as llama.cpp's `--samplers` and `--sampler-seq` have them.

use super::{Place, Row, SAMPLERS, SamplerParams};
use crate::{Error, Result};

/// Other names that llama.cpp takes.
const ALIASES: &[(&str, &str)] = &[
    ("typical_p", "typ_p"),
    ("typical", "typ_p"),
    ("typ", "typ_p"),
    ("nucleus", "top_p"),
    ("temp", "temperature"),
];

impl SamplerParams {
    /// The samplers named by llama.cpp's letters (`--sampler-seq`), e.g. `"kpmt"`.
    ///
    /// # Errors
    /// A letter that no sampler has.
    pub fn samplers_from_letters(letters: &str) -> Result<Vec<String>> {
        let find = |letter: char| {
            let row = SAMPLERS.iter().find(|row| row.letter == letter);
            row.map(|row| row.name.to_string())
                .ok_or_else(|| unknown("sampler letter", letter, |row| row.letter.to_string()))
        };
        letters.chars().map(find).collect()
    }

    /// The samplers named in a list with `;` between (`--samplers`), e.g. `"top_k;temperature"`.
    /// Names have `-` or `_`, and llama.cpp's aliases are taken.
    ///
    /// # Errors
    /// A name that no sampler has.
    pub fn samplers_from_names(names: &str) -> Result<Vec<String>> {
        let names = names.split(';').filter(|name| !name.is_empty());
        names.map(|name| Ok(find(name)?.name.into())).collect()
    }

    /// The samplers to run, in their order.
    pub(super) fn order(&self) -> Result<Vec<&'static Row>> {
        let named: Result<Vec<&Row>> = self.samplers.iter().map(|name| find(name)).collect();
        let mut rows = named?;
        if self.mirostat != 0 && !rows.iter().any(|row| row.name == "mirostat") {
            rows = vec![find("temperature")?, find("mirostat")?];
        }
        rows.sort_by_key(|row| row.place == Place::Last);
        Ok(rows)
    }
}

/// The row with this name.
fn find(name: &str) -> Result<&'static Row> {
    let plain = name.replace('-', "_");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == plain);
    let plain = alias.map_or(plain.as_str(), |(_, name)| name);
    let row = SAMPLERS.iter().find(|row| row.name == plain);
    row.ok_or_else(|| unknown("sampler", name, |row| row.name.to_string()))
}

fn unknown(what: &'static str, value: impl Into<String>, known: fn(&Row) -> String) -> Error {
    let known: Vec<String> = SAMPLERS.iter().map(known).collect();
    Error::Unknown {
        what,
        value: value.into(),
        known: known.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_have_llama_cpp_s_names_and_letters() {
        let default = SamplerParams::default().samplers;
        let letters = SamplerParams::samplers_from_letters("edskypmxt");
        assert_eq!(letters.expect("known"), default);
        let text = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature";
        assert_eq!(
            SamplerParams::samplers_from_names(text).expect("known"),
            default
        );
        let aliases = SamplerParams::samplers_from_names("top-k;typical;nucleus;temp");
        assert_eq!(
            aliases.expect("known"),
            ["top_k", "typ_p", "top_p", "temperature"]
        );
        let error = SamplerParams::samplers_from_letters("kq")
            .expect_err("no q")
            .to_string();
        assert!(
            error.contains("\"q\"") && error.contains("e d s k"),
            "{error}"
        );
    }
}
