//! What a program is made of, counted before it is compiled: how many functions, how long, how many locals and branches. Compiling is
//! the one place where a small file can cost much time and memory (wasmtime's security policy leaves that to its embedder), and the
//! deadline of a compilation helps little: it never passes in virtual time, and the thread goes on compiling. So what would cost
//! too much is refused here, for the same reason on every machine. Owns the counting; whether a program is valid is wasmtime's to say.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::program::LoadError;

/// Functions of one program, those of all modules of a component together. CPython with its library has some 20,000; 100,000 small
/// ones compile in about 20 s on two slow cores.
pub const MAX_FUNCTIONS: u64 = 100_000;
/// Bytes of one function. The largest interpreter loops that we know have a tenth of it; the allocation of registers takes more than
/// linear time.
pub const MAX_FUNCTION_BYTES: usize = 2 * 1024 * 1024;
/// Blocks in one another. A `switch` becomes as many as it has cases.
pub const MAX_NESTING: u64 = 10_000;
/// Locals of one function times its branches: the compiler keeps a cell of 4 bytes for each local at each place where control flow
/// meets. Without this limit 4 MB of program can make it take 200 GB.
pub const MAX_FLOW_CELLS: u64 = 64 * 1024 * 1024;
/// Operators of one program. 64 MiB of code hold as many of one byte each; useful ones have two to three bytes.
pub const MAX_OPERATORS: u64 = 40_000_000;

/// Refuses a program that would cost too much to compile. What cannot be read is left to the compiler, which says why.
///
/// # Errors
/// [`LoadError::TooComplex`] names the limit.
pub(crate) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    let (mut functions, mut operators) = (0, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        let Payload::CodeSectionEntry(body) = payload else { continue };
        functions += 1;
        at_most("functions", functions, MAX_FUNCTIONS)?;
        at_most("bytes in one function", body.range().len() as u64, MAX_FUNCTION_BYTES as u64)?;
        let Some(function) = Function::count(&body)? else { return Ok(()) };
        operators += function.operators;
        at_most("operators", operators, MAX_OPERATORS)?;
    }
    Ok(())
}

fn at_most(what: &'static str, count: u64, max: u64) -> Result<(), LoadError> {
    if count > max { Err(LoadError::TooComplex { what, max }) } else { Ok(()) }
}

/// What one function is made of.
#[derive(Debug, Default)]
struct Function {
    operators: u64,
    branches: u64,
    nesting: u64,
}

impl Function {
    /// Counts one function; none if it cannot be read.
    fn count(body: &FunctionBody<'_>) -> Result<Option<Self>, LoadError> {
        let Some(locals) = locals(body) else { return Ok(None) };
        let Ok(mut reader) = body.get_operators_reader() else { return Ok(None) };
        let mut function = Self::default();
        while !reader.eof() {
            let Ok(operator) = reader.read() else { return Ok(None) };
            function.take(&operator);
            at_most("blocks in one another", function.nesting, MAX_NESTING)?;
        }
        // a function without locals has its operands, which meet as well
        let cells = locals.saturating_add(1).saturating_mul(function.branches.saturating_add(1));
        at_most("locals times branches of one function", cells, MAX_FLOW_CELLS)?;
        Ok(Some(function))
    }

    fn take(&mut self, operator: &Operator<'_>) {
        self.operators += 1;
        match operator {
            Operator::Block { .. } => self.enter(1),
            Operator::If { .. } => self.enter(3),
            // its head, its end, and the check of fuel at its head
            Operator::Loop { .. } => self.enter(4),
            Operator::TryTable { try_table } => self.enter(1 + try_table.catches.len() as u64),
            Operator::End => self.nesting = self.nesting.saturating_sub(1),
            Operator::BrIf { .. } | Operator::BrOnNull { .. } | Operator::BrOnNonNull { .. } => self.branches += 1,
            Operator::BrTable { targets } => self.branches += 1 + u64::from(targets.len()),
            _ => {}
        }
    }

    fn enter(&mut self, branches: u64) {
        self.branches += branches;
        self.nesting += 1;
    }
}

/// The locals that a function declares beside its parameters, of which there are a thousand at most.
fn locals(body: &FunctionBody<'_>) -> Option<u64> {
    let mut all = 0u64;
    for group in body.get_locals_reader().ok()? {
        let (count, _) = group.ok()?;
        all = all.saturating_add(count.into());
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(functions: &str) -> Result<(), LoadError> {
        check(&wat::parse_str(format!("(module {functions})")).expect("well-formed text"))
    }

    fn refused(functions: &str) -> &'static str {
        match checked(functions) {
            Err(LoadError::TooComplex { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn functions_are_counted_up_to_the_limit() {
        let most = usize::try_from(MAX_FUNCTIONS).expect("a number");
        assert_eq!(checked(&"(func)".repeat(most)), Ok(()));
        assert_eq!(refused(&"(func)".repeat(most + 1)), "functions");
    }

    #[test]
    fn functions_of_all_modules_of_a_component_are_counted() {
        let half = usize::try_from(MAX_FUNCTIONS / 2).expect("a number") + 1;
        let module = format!("(core module {})", "(func)".repeat(half));
        let text = format!("(component {module} {module})");
        let checked = check(&wat::parse_str(text).expect("well-formed text"));
        assert!(matches!(checked, Err(LoadError::TooComplex { what: "functions", .. })), "{checked:?}");
    }

    #[test]
    fn long_and_deep_functions_are_refused() {
        assert_eq!(refused(&format!("(func {})", "nop ".repeat(MAX_FUNCTION_BYTES))), "bytes in one function");
        let nested = |depth: usize| format!("(func {} {})", "block ".repeat(depth), "end ".repeat(depth));
        assert_eq!(checked(&nested(10_000)), Ok(()));
        assert_eq!(refused(&nested(10_001)), "blocks in one another");
    }

    #[test]
    fn many_locals_are_fine_and_many_branches_are_but_not_both() {
        let locals = |count: usize| format!("(local {})", "i64 ".repeat(count));
        let branches = |count: usize| "block end ".repeat(count);
        assert_eq!(checked(&format!("(func {})", locals(50_000))), Ok(()));
        assert_eq!(checked(&format!("(func {})", branches(500_000))), Ok(()));
        let both = format!("(func {} {})", locals(50_000), branches(2_000));
        assert_eq!(refused(&both), "locals times branches of one function");
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_compiler() {
        assert_eq!(check(b"\0asm\x01\0\0\0\x0a\xff\xff\xff"), Ok(()));
        assert_eq!(check(b""), Ok(()));
    }
}
