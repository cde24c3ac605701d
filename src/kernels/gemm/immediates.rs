//! The constants of a dispatch: names for the shader and values for the host, written down once.
use super::op::Epilogue;
use crate::kernels::KernelError;

/// What every adapter offers: 128 bytes.
pub const WORDS: usize = 32;

/// `var<immediate> im` under construction.
#[derive(Debug, Clone, Default)]
pub struct Immediates {
    fields: Vec<(String, &'static str, u32)>,
}

impl Immediates {
    pub fn u32(&mut self, name: &'static str, value: u32) -> &mut Self {
        self.word(name.into(), "u32", value)
    }

    pub fn i32(&mut self, name: &'static str, value: i32) -> &mut Self {
        self.word(name.into(), "i32", value.cast_unsigned())
    }

    pub fn word(&mut self, name: String, wgsl_type: &'static str, bits: u32) -> &mut Self {
        self.fields.push((name, wgsl_type, bits));
        self
    }

    /// `e0`, `e1`, .. of an epilogue.
    pub fn epilogue(&mut self, epilogue: &Epilogue) -> &mut Self {
        for (i, &word) in epilogue.immediates.iter().enumerate() {
            self.word(format!("e{i}"), "u32", word);
        }
        self
    }

    /// # Errors
    /// [`KernelError::Immediates`].
    pub fn check(&self, kernel: &'static str) -> Result<(), KernelError> {
        match self.fields.len() {
            words if words > WORDS => Err(KernelError::Immediates {
                kernel,
                words,
                limit: WORDS,
            }),
            _ => Ok(()),
        }
    }

    /// The struct and the variable in WGSL. All members are 4 bytes, so there is no padding.
    pub fn declaration(&self) -> String {
        let mut text = String::from("struct Immediates {\n");
        for (name, wgsl_type, _) in &self.fields {
            text += &format!("    {name}: {wgsl_type},\n");
        }
        text += "}\nvar<immediate> im: Immediates;\n";
        text
    }

    pub fn words(&self) -> Vec<u32> {
        self.fields.iter().map(|&(_, _, bits)| bits).collect()
    }
}
