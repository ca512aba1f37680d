//! Every path that a file mentions: in `use`, in code, and inside macros.

use syn::visit::{self, Visit};
use syn::{Item, UseTree};

/// A path and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    /// The segments, as written.
    pub(crate) path: Vec<String>,
    /// Inline modules around it, inside its file.
    pub(crate) inner: Vec<String>,
    /// Whether it is under `#[cfg(test)]`.
    pub(crate) test: bool,
}

/// All mentions, in order.
pub(crate) fn mentions(file: &syn::File) -> Vec<Mention> {
    let mut finder = Finder { found: Vec::new(), inner: Vec::new(), test: is_test(&file.attrs) };
    finder.visit_file(file);
    finder.found
}

/// What `use` items at the file's top bring in under which name, where they are of ours or may be.
pub(crate) fn exports(file: &syn::File) -> Vec<(String, Vec<String>)> {
    let mut out = Vec::new();
    for item in &file.items {
        if let Item::Use(item) = item {
            flatten(&item.tree, &mut Vec::new(), &mut |name, path| out.push((name, path)));
        }
    }
    out
}

/// Names that `use` brings in anywhere at the top, with a path of more than one segment.
pub(crate) fn exports_and_imports(file: &syn::File) -> Vec<String> {
    exports(file).into_iter().filter(|(_, path)| path.len() > 1).map(|(name, _)| name).collect()
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, each: &mut impl FnMut(String, Vec<String>)) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, each);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, each);
            }
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            let mut path = prefix.clone();
            if name == "self" {
                let name = path.last().cloned().unwrap_or_default();
                each(name, path);
            } else {
                path.push(name.clone());
                each(name, path);
            }
        }
        UseTree::Rename(rename) => {
            let mut path = prefix.clone();
            path.push(rename.ident.to_string());
            each(rename.rename.to_string(), path);
        }
        UseTree::Glob(_) => each("*".to_owned(), prefix.clone()),
    }
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || (attr.path().is_ident("cfg")
                && attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")))
    })
}

struct Finder {
    found: Vec<Mention>,
    inner: Vec<String>,
    test: bool,
}

impl Finder {
    fn add(&mut self, path: Vec<String>) {
        self.found.push(Mention { path, inner: self.inner.clone(), test: self.test });
    }

    /// Paths in a macro's tokens: identifiers with `::` between them.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let flush = |finder: &mut Self, path: &mut Vec<String>| {
            if path.len() > 1 {
                finder.add(std::mem::take(path));
            }
            path.clear();
        };
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) => {
                    if colons != 2 {
                        flush(self, &mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                proc_macro2::TokenTree::Group(group) => {
                    flush(self, &mut path);
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    flush(self, &mut path);
                    colons = 0;
                }
            }
        }
        flush(self, &mut path);
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        let attrs: &[syn::Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        let before = self.test;
        self.test |= is_test(attrs);
        visit::visit_item(self, item);
        self.test = before;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inner.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inner.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        flatten(&item.tree, &mut Vec::new(), &mut |_, path| self.add(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.add(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        visit::visit_path(self, &mac.path);
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }
}
