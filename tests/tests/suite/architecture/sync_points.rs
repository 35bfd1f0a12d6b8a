//! Every await of the delivery protocol that leaves the process goes through a named sync point, so that a test can
//! pause or stop an invocation there.

use std::collections::BTreeSet;

use syn::{
    Expr, ExprAwait, ExprCall, ExprMethodCall, File, FnArg, Item, ItemFn, Lit, Macro, Pat, Signature, Token,
    Type,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::source::{attributes_of, is_test, parse, rust_files};

/// The field and the method of a sync point: `services.sync_points.reach("name", future)`.
const FIELD: &str = "sync_points";
const METHOD: &str = "reach";

/// The directory of the protocol. Every file below is checked.
const DIRECTORY: &str = "shared/src/delivery";
/// The implementation of sync points.
const IMPLEMENTATION: &str = "shared/src/delivery/sync_point.rs";
/// Methods and functions that await the futures passed to them. These futures are checked where they are created.
const COMBINATORS: [&str; 3] = ["collect", "for_each_concurrent", "instrument"];
/// Macros and functions that await without `.await`, or that this check cannot analyse.
const FORBIDDEN_MACROS: [&str; 3] = ["select", "try_join", "pin"];
const FORBIDDEN_FUNCTIONS: [&str; 4] = ["poll_fn", "block_on", "now_or_never", "poll"];
/// Fields and modules through which a call leaves the process.
const OUTSIDE: [&str; 5] = ["store", "crm", "http", "tokio", "reqwest"];

/// The async functions of some files, and the functions that receive the name of a sync point.
#[derive(Debug, Default)]
struct Functions {
    asynchronous: BTreeSet<String>,
    /// The functions with a parameter of the type `&'static str`, which they pass on.
    receive_a_name: BTreeSet<String>,
}

impl Functions {
    fn of<'a>(files: impl IntoIterator<Item = &'a File>) -> Functions {
        let mut functions = Functions::default();
        files.into_iter().for_each(|file| functions.visit_file(file));
        functions
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        let name = signature.ident.to_string();
        if !name_parameters(signature).is_empty() {
            self.receive_a_name.insert(name.clone());
        }
        if signature.asyncness.is_some() {
            self.asynchronous.insert(name);
        }
        visit::visit_signature(self, signature);
    }
}

/// Returns the parameters of the type `&'static str`.
fn name_parameters(signature: &Signature) -> BTreeSet<String> {
    let parameters = signature.inputs.iter().filter_map(|input| {
        let FnArg::Typed(typed) = input else { return None };
        let (Pat::Ident(name), Type::Reference(reference)) = (&*typed.pat, &*typed.ty) else { return None };
        let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
        let is_str = matches!(&*reference.elem, Type::Path(path) if path.path.is_ident("str"));
        (is_static && is_str).then(|| name.ident.to_string())
    });
    parameters.collect()
}

/// Finds awaits without a sync point, and the names of the sync points.
struct Checker<'a> {
    functions: &'a Functions,
    /// The parameters of the enclosing function that are names of sync points.
    name_parameters: BTreeSet<String>,
    problems: Vec<String>,
    names: Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, future: &Expr) {
        if !self.is_named(future) && !self.is_own(future) {
            let line = future.span().start().line;
            self.problems.push(format!("line {line}: an await without a sync point"));
        }
    }

    /// Returns `true` for `services.sync_points.reach("name", future)`. The future must not contain an async block,
    /// which could await several futures.
    fn is_named(&self, future: &Expr) -> bool {
        let Expr::MethodCall(call) = future else { return false };
        if !is_sync_point(call) {
            return false;
        }
        let mut arguments = call.args.iter();
        let has_name = arguments.next().is_some_and(|name| match name {
            Expr::Lit(literal) => matches!(literal.lit, Lit::Str(_)),
            Expr::Path(path) => {
                path.path.get_ident().is_some_and(|name| self.name_parameters.contains(&name.to_string()))
            }
            _ => false,
        });
        has_name && arguments.all(|argument| !has_async_block(argument))
    }

    /// Returns `true` for a combinator, and for a call of an async function of the protocol, whose body is checked too.
    fn is_own(&self, future: &Expr) -> bool {
        let (name, path) = match future {
            Expr::MethodCall(call) => (call.method.to_string(), words(&call.receiver)),
            Expr::Call(call) => {
                let mut path = words(&call.func);
                (path.pop().unwrap_or_default(), path)
            }
            _ => return false,
        };
        let is_known = self.functions.asynchronous.contains(&name) || COMBINATORS.contains(&name.as_str());
        // A combinator's futures may come from any code: they are checked where they are created.
        is_known
            && (COMBINATORS.contains(&name.as_str())
                || !path.iter().any(|word| OUTSIDE.contains(&word.as_str())))
    }

    fn forbid(&mut self, name: &str, line: usize) {
        self.problems.push(format!("line {line}: `{name}` hides an await"));
    }
}

fn is_sync_point(call: &ExprMethodCall) -> bool {
    call.method == METHOD && words(&call.receiver).last().is_some_and(|field| field == FIELD)
}

/// Returns the names in a path or in a chain of fields and calls.
fn words(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::Path(path) => path.path.segments.iter().map(|segment| segment.ident.to_string()).collect(),
        Expr::Field(field) => {
            let mut words = words(&field.base);
            if let syn::Member::Named(name) = &field.member {
                words.push(name.to_string());
            }
            words
        }
        Expr::MethodCall(call) => {
            let mut words = words(&call.receiver);
            words.push(call.method.to_string());
            words
        }
        Expr::Call(call) => words(&call.func),
        Expr::Await(awaited) => words(&awaited.base),
        Expr::Try(tried) => words(&tried.expr),
        Expr::Reference(reference) => words(&reference.expr),
        Expr::Unary(unary) => words(&unary.expr),
        Expr::Paren(inner) => words(&inner.expr),
        _ => Vec::new(),
    }
}

fn has_async_block(expression: &Expr) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {
            self.0 = true;
        }
        fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
            self.0 |= closure.asyncness.is_some();
        }
    }
    let mut finder = Finder(false);
    finder.visit_expr(expression);
    finder.0
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let before = std::mem::replace(&mut self.name_parameters, name_parameters(&item.sig));
        visit::visit_item_fn(self, item);
        self.name_parameters = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let before = std::mem::replace(&mut self.name_parameters, name_parameters(&item.sig));
        visit::visit_impl_item_fn(self, item);
        self.name_parameters = before;
    }

    fn visit_expr_await(&mut self, awaited: &'ast ExprAwait) {
        self.check(&awaited.base);
        visit::visit_expr_await(self, awaited);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        if FORBIDDEN_FUNCTIONS.contains(&name.as_str()) {
            self.forbid(&name, call.span().start().line);
        }
        if is_sync_point(call) || self.functions.receive_a_name.contains(&name) {
            let literal = call.args.iter().find_map(|argument| match argument {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            });
            self.names.extend(literal);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Some(name) =
            words(&call.func).pop().filter(|name| FORBIDDEN_FUNCTIONS.contains(&name.as_str()))
        {
            self.forbid(&name, call.span().start().line);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let name = item.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        let line = item.path.span().start().line;
        if FORBIDDEN_MACROS.contains(&name.as_str()) {
            return self.forbid(&name, line);
        }
        let arguments = item.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        match arguments {
            Ok(arguments) => {
                for argument in &arguments {
                    if name == "join" {
                        self.check(argument);
                    }
                    self.visit_expr(argument);
                }
            }
            // A macro whose arguments are not a list of expressions must not await.
            Err(_) if item.tokens.to_string().contains("await") => self.forbid(&name, line),
            Err(_) => {}
        }
    }
}

/// Returns the problems in a file of the protocol, and the names of its sync points.
fn check(file: &File, functions: &Functions) -> (Vec<String>, Vec<String>) {
    let mut checker =
        Checker { functions, name_parameters: BTreeSet::new(), problems: Vec::new(), names: Vec::new() };
    checker.visit_file(file);
    (checker.problems, checker.names)
}

fn protocol() -> Vec<(String, File)> {
    let files = rust_files(DIRECTORY).into_iter().filter(|path| path != IMPLEMENTATION);
    files.map(|path| (path.clone(), parse(&path))).collect()
}

#[test]
fn every_await_that_leaves_the_process_has_a_sync_point() {
    let files = protocol();
    let functions = Functions::of(files.iter().map(|(_, file)| file));
    let problems: Vec<_> = files
        .iter()
        .flat_map(|(path, file)| {
            check(file, &functions).0.into_iter().map(move |problem| format!("{path}: {problem}"))
        })
        .collect();
    assert!(problems.is_empty(), "use `{FIELD}.{METHOD}(\"name\", ...)`:\n{}", problems.join("\n"));
}

#[test]
fn each_sync_point_has_a_unique_name() {
    let files = protocol();
    let functions = Functions::of(files.iter().map(|(_, file)| file));
    let mut names = BTreeSet::new();
    for name in files.iter().flat_map(|(_, file)| check(file, &functions).1) {
        assert!(names.insert(name.clone()), "two sync points are named {name}");
    }
    assert!(names.len() > 30, "the names were found: {names:?}");
}

#[test]
fn an_await_without_a_sync_point_is_found() {
    let declarations = "async fn keep() {} async fn deliver() {} async fn give_back(step: &'static str) {}";
    for (code, is_fine) in [
        (r#"app.SYNC("x.y", app.store.call(key)).await?"#, true),
        (r#"app.SYNC("x.y", tokio::time::sleep(wait)).await"#, true),
        (r#"{ let claim = app.store.claim(&lease); app.SYNC("x.y", claim).await }"#, true),
        (r#"self.give_back("x.y").await"#, true),
        ("self.keep(credentials).await", true),
        ("deliver(app, (crm), due).await", true),
        ("self::deliver(app).await?.map(|it| it)", true),
        ("stream::iter(all).map(deliver).buffer_unordered(4)\n    .collect().await", true),
        (r#"tokio::join!(app.SYNC("a.b", one(1, 2)), app.SYNC("a.c", two()))"#, true),
        ("async { deliver(app).await }", true),
        ("app.store.call(key).await?", false),
        ("self.app.store.keep(&lease).await?", false),
        ("tokio::time::sleep(wait).await", false),
        ("self.crm.create_log(&access, log).await", false),
        ("renew_grant(http, url).await", false),
        ("future.await", false),
        (r#"app.SYNC("x.y", async { one().await; two().await }).await"#, false),
        (r#"app.SYNC("x.y", deliver(async || app.store.call(key).await)).await"#, false),
        (r#"tokio::join!(app.SYNC("a.b", one()), app.store.user(id))"#, false),
        (r#"println!("{:?}", app.store.user(id).await)"#, false),
        ("stream::iter(all).map(async |due| app.store.call(due).await).collect().await", false),
        (r#"app.SYNC(name, app.store.call(key)).await"#, false),
        (r#"app.other.METHOD("x.y", app.store.call(key)).await"#, false),
        ("tokio::select! { _ = one() => {} }", false),
        ("std::future::poll_fn(|context| one(context)).await", false),
        ("app.store.call(key).now_or_never()", false),
    ] {
        let code = code.replace("SYNC", &format!("{FIELD}.{METHOD}")).replace("METHOD", METHOD);
        let file = syn::parse_file(&format!("{declarations} async fn f() {{ {code}; }}")).unwrap();
        let (problems, _) = check(&file, &Functions::of([&file]));
        assert_eq!(problems.is_empty(), is_fine, "{code}: {problems:?}");
    }
}
