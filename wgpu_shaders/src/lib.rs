//! WGSL as data: kernels, the ways of unpacking each tensor type, and what they share.
//!
//! A *variant* is a line of `variants.txt`: a kernel, and for those that read a matrix the tensor
//! type. [`source`] puts its text together by replacing each `//#include path` line with that
//! file; nothing else is generated, so what a browser's error message quotes is what lies here.

include!(concat!(env!("OUT_DIR"), "/files.rs"));

const VARIANTS: &str = include_str!("../variants.txt");

/// One line of `variants.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub name: &'static str,
    /// The file in `kernels/`, without its ending.
    pub kernel: &'static str,
    /// The file in `quant/`, without its ending.
    pub quant: Option<&'static str>,
}

/// Every variant, in the order of `variants.txt`.
pub fn variants() -> impl Iterator<Item = Variant> {
    let lines = VARIANTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(Variant {
            name: words.next()?,
            kernel: words.next()?,
            quant: words.next(),
        })
    })
}

/// The variant of that name.
pub fn variant(name: &str) -> Option<Variant> {
    variants().find(|v| v.name == name)
}

/// The whole WGSL text of a variant; `None` where `variants.txt` has no such name.
pub fn source(name: &str) -> Option<String> {
    let variant = variant(name)?;
    let mut text = String::new();
    append(
        &format!("kernels/{}.wgsl", variant.kernel),
        variant,
        &mut text,
    );
    Some(text)
}

fn append(path: &str, variant: Variant, text: &mut String) {
    for line in file(path).lines() {
        match line.strip_prefix("//#include ") {
            Some("quant") => {
                let quant = variant
                    .quant
                    .unwrap_or_else(|| panic!("{}: no type", variant.name));
                append(&format!("quant/{quant}.wgsl"), variant, text);
            }
            Some(path) => append(path, variant, text),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

fn file(path: &str) -> &'static str {
    let found = FILES.iter().find(|(name, _)| *name == path);
    found.unwrap_or_else(|| panic!("no shader file {path}")).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_a_text_without_includes_left() {
        for v in variants() {
            let text = source(v.name).expect("listed");
            assert!(
                text.contains("@compute") && !text.contains("//#include"),
                "{}",
                v.name
            );
        }
    }

    #[test]
    fn every_kernel_and_type_is_used_by_a_variant() {
        for (path, _) in FILES {
            let name = path
                .split_once('/')
                .expect("in a folder")
                .1
                .trim_end_matches(".wgsl");
            let used = variants().any(|v| v.kernel == name || v.quant == Some(name));
            assert!(used || path.starts_with("shared/"), "{path}");
        }
    }

    #[test]
    fn names_are_unique() {
        for v in variants() {
            assert_eq!(
                variants().filter(|w| w.name == v.name).count(),
                1,
                "{}",
                v.name
            );
        }
    }
}
