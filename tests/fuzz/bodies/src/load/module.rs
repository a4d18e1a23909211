//! Modules put together at random: every section with entries that are often valid, and code that often is. What mutation of bytes
//! hardly reaches: huge tables and memories, wrong imports, starts, many locals, deep blocks.

use arbitrary::{Result, Unstructured};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemArg, MemorySection,
    MemoryType, Module, RefType, StartSection, TableSection, TableType, TypeSection, ValType,
};

const TYPES: [ValType; 5] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];
/// Imports: with the right type (none to none is rarely right), of the right module, of another.
const IMPORTS: [(&str, &str); 8] = [
    ("wasi_snapshot_preview1", "sched_yield"),
    ("wasi_snapshot_preview1", "proc_exit"),
    ("wasi_snapshot_preview1", "fd_write"),
    ("wasi_snapshot_preview1", "nothing"),
    ("wasmpod_ipc_v0", "sem_post"),
    ("env", "memory"),
    ("env", ""),
    ("", "\u{1f980}"),
];

/// A module by the choices of `u`.
///
/// # Errors
/// If there are no choices left.
pub(super) fn generate(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut module = Module::new();
    let types = types(u, &mut module)?;
    let imported = imports(u, &mut module, types)?;
    let defined = u.int_in_range(1..=4)?;
    let mut functions = FunctionSection::new();
    functions.function(0); // `_start`
    for _ in 1..defined {
        functions.function(u.int_in_range(0..=types)?);
    }
    module.section(&functions);
    if u.arbitrary()? {
        let mut tables = TableSection::new();
        for _ in 0..u.int_in_range(0..=3)? {
            let (minimum, maximum) = (size(u)?, maximum(u)?);
            tables.table(TableType {
                element_type: RefType::FUNCREF,
                table64: u.ratio(1, 9)?,
                minimum,
                maximum,
                shared: false,
            });
        }
        module.section(&tables);
    }
    let mut memories = MemorySection::new();
    for _ in 0..u.int_in_range(0..=2)? {
        let (minimum, maximum) = (size(u)?, maximum(u)?);
        let (memory64, shared) = (u.ratio(1, 9)?, u.ratio(1, 9)?);
        memories.memory(MemoryType { minimum, maximum, memory64, shared, page_size_log2: None });
    }
    module.section(&memories);
    globals(u, &mut module)?;
    exports(u, &mut module, imported)?;
    if u.ratio(1, 5)? {
        module.section(&StartSection { function_index: u.int_in_range(0..=imported + defined)? });
    }
    if u.ratio(1, 3)? {
        let mut elements = ElementSection::new();
        let (offset, function) = (ConstExpr::i32_const(u.arbitrary()?), u.int_in_range(0..=imported + defined)?);
        elements.active(None, &offset, Elements::Functions(vec![function].into()));
        module.section(&elements);
    }
    let mut code = CodeSection::new();
    for _ in 0..defined {
        code.function(&body(u, imported + defined)?);
    }
    module.section(&code);
    if u.ratio(1, 3)? {
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(u.arbitrary()?), u.bytes(u.len().min(20))?.iter().copied());
        module.section(&data);
    }
    Ok(module.finish())
}

/// Type 0 is that of `_start`. The highest index.
fn types(u: &mut Unstructured<'_>, module: &mut Module) -> Result<u32> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let more = u.int_in_range(0..=4)?;
    for _ in 0..more {
        let list = |u: &mut Unstructured<'_>| -> Result<Vec<ValType>> {
            (0..u.int_in_range(0..=4)?).map(|_| u.choose(&TYPES).copied()).collect()
        };
        types.ty().function(list(u)?, list(u)?);
    }
    module.section(&types);
    Ok(more)
}

fn imports(u: &mut Unstructured<'_>, module: &mut Module, types: u32) -> Result<u32> {
    let mut imports = ImportSection::new();
    let mut functions = 0;
    for _ in 0..u.int_in_range(0..=2)? {
        if !u.ratio(1, 3)? {
            continue;
        }
        let (from, name) = *u.choose(&IMPORTS)?;
        if u.ratio(1, 5)? {
            let global = GlobalType { val_type: ValType::I32, mutable: u.arbitrary()?, shared: false };
            imports.import(from, name, EntityType::Global(global));
        } else {
            imports.import(from, name, EntityType::Function(u.int_in_range(0..=types)?));
            functions += 1;
        }
    }
    module.section(&imports);
    Ok(functions)
}

fn globals(u: &mut Unstructured<'_>, module: &mut Module) -> Result<()> {
    let mut globals = GlobalSection::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let global = GlobalType { val_type: *u.choose(&TYPES)?, mutable: u.arbitrary()?, shared: false };
        let value = match global.val_type {
            ValType::I64 => ConstExpr::i64_const(u.arbitrary()?),
            ValType::V128 => ConstExpr::v128_const(u.arbitrary()?),
            _ => ConstExpr::i32_const(u.arbitrary()?), // wrong for the floats
        };
        globals.global(global, &value);
    }
    module.section(&globals);
    Ok(())
}

fn exports(u: &mut Unstructured<'_>, module: &mut Module, imported: u32) -> Result<()> {
    let mut exports = ExportSection::new();
    let kind = if u.ratio(1, 20)? { ExportKind::Memory } else { ExportKind::Func };
    if !u.ratio(1, 20)? {
        exports.export("_start", kind, imported);
    }
    if u.ratio(1, 2)? {
        exports.export("memory", ExportKind::Memory, u.int_in_range(0..=1)?);
    }
    module.section(&exports);
    Ok(())
}

fn size(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => u.arbitrary()?,
        1 => u.arbitrary::<u32>()?.into(),
        2 => 65_536,
        _ => u.int_in_range(0..=20)?,
    })
}

fn maximum(u: &mut Unstructured<'_>) -> Result<Option<u64>> {
    if u.arbitrary()? { size(u).map(Some) } else { Ok(None) }
}

/// Code that keeps to the stack of types as far as it knows it, and at times does not.
fn body(u: &mut Unstructured<'_>, functions: u32) -> Result<Function> {
    let locals = if u.ratio(1, 8)? { u.int_in_range(0..=50_001)? } else { 2 };
    let mut function = Function::new([(locals, ValType::I32), (1, ValType::I64)]);
    let (mut stack, mut blocks) = (0_u32, 0_u32);
    let memory = |u: &mut Unstructured<'_>| -> Result<MemArg> {
        Ok(MemArg { offset: size(u)?, align: u.int_in_range(0..=2)?, memory_index: u32::from(u.ratio(1, 9)?) })
    };
    for _ in 0..u.int_in_range(0..=60)? {
        let (instruction, takes, gives) = match u.int_in_range(0..=22)? {
            0..=3 => (Instruction::I32Const(u.arbitrary()?), 0, 1),
            4 => (Instruction::LocalGet(u.int_in_range(0..=2)?), 0, 1),
            5 => (Instruction::LocalSet(u.int_in_range(0..=2)?), 1, 0),
            6 => (Instruction::I32Add, 2, 1),
            7 => (Instruction::I32DivS, 2, 1),
            8 => (Instruction::I32Load(memory(u)?), 1, 1),
            9 => (Instruction::I32Store(memory(u)?), 2, 0),
            10 => (Instruction::MemoryGrow(0), 1, 1),
            11 => (Instruction::MemoryFill(0), 3, 0),
            12 => (Instruction::Drop, 1, 0),
            13 => (Instruction::Call(u.int_in_range(0..=functions)?), 0, 0),
            14 => (Instruction::CallIndirect { type_index: 0, table_index: 0 }, 1, 0),
            15 => (Instruction::Loop(BlockType::Empty), 0, 0),
            16 => (Instruction::Block(BlockType::Empty), 0, 0),
            17 if blocks > 0 => (Instruction::BrIf(u.int_in_range(0..=blocks)?), 1, 0),
            18 if blocks > 0 && stack == 0 => (Instruction::End, 0, 0),
            19 => (Instruction::Unreachable, 0, 0),
            20 => (Instruction::GlobalGet(u.int_in_range(0..=3)?), 0, 1),
            21 => (Instruction::RefNull(wasm_encoder::HeapType::FUNC), 0, 1),
            _ => (Instruction::Nop, 0, 0),
        };
        if stack < takes && !u.ratio(1, 40)? {
            continue;
        }
        stack = (stack.saturating_sub(takes)) + gives;
        match instruction {
            Instruction::Loop(_) | Instruction::Block(_) => {
                (0..std::mem::take(&mut stack)).for_each(|_| _ = function.instruction(&Instruction::Drop));
                blocks += 1;
            }
            Instruction::End => blocks -= 1,
            _ => {}
        }
        function.instruction(&instruction);
    }
    (0..stack).for_each(|_| _ = function.instruction(&Instruction::Drop));
    (0..=blocks).for_each(|_| _ = function.instruction(&Instruction::End));
    Ok(function)
}
