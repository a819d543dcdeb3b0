//! Turns "run this kernel on these regions" into pipelines, bind groups and parameters.

use std::collections::HashMap;

use bytemuck::Pod;

use crate::dispatch::{Buffer, Extent, Group, List, Pipeline, Program, Region, Step};
use crate::kernels;

/// Bytes of one step's parameters: the alignment that a uniform's offset needs.
const PARAM_BYTES: u64 = 256;

/// Writes steps into lists; shared parts (pipelines, equal groups) are made once.
pub struct Steps<'a> {
    program: &'a mut Program,
    params: Vec<u8>,
    params_buffer: usize,
    run: Region,
    pipelines: HashMap<(String, Vec<String>), usize>,
    list: List,
}

impl<'a> Steps<'a> {
    /// `run` is the head of the state buffer.
    pub fn new(program: &'a mut Program, run: Region) -> Steps<'a> {
        program.buffers.push(Buffer {
            name: "params".into(),
            size: 0,
        });
        Steps {
            params_buffer: program.buffers.len() - 1,
            program,
            params: vec![],
            run,
            pipelines: HashMap::new(),
            list: List::default(),
        }
    }

    /// A step of the list in hand: `variant` of the shader crate on `regions` (its bindings from
    /// 2 on, in order).
    pub fn push(
        &mut self,
        variant: &str,
        constants: &[(&str, f64)],
        params: &impl Pod,
        regions: &[Region],
        extent: Extent,
    ) {
        let pipeline = self.pipeline(variant, constants);
        let offset = self.params.len() as u64;
        self.params.extend_from_slice(bytemuck::bytes_of(params));
        self.params.resize((offset + PARAM_BYTES) as usize, 0);
        let own = Region {
            buffer: self.params_buffer,
            offset,
            size: PARAM_BYTES,
        };
        let entries: Vec<Region> = [own, self.run].iter().chain(regions).copied().collect();
        assert_eq!(
            entries.len(),
            self.program.pipelines[pipeline].bindings.len(),
            "{variant}: bindings"
        );
        self.program.groups.push(Group { pipeline, entries });
        let group = self.program.groups.len() - 1;
        self.list.steps.push(Step { group, extent });
    }

    fn pipeline(&mut self, variant: &str, constants: &[(&str, f64)]) -> usize {
        let key = (
            variant.to_string(),
            constants.iter().map(|(n, v)| format!("{n}={v}")).collect(),
        );
        if let Some(&known) = self.pipelines.get(&key) {
            return known;
        }
        let shader = wgpu_shaders::variant(variant);
        let shader = shader.unwrap_or_else(|| panic!("no shader variant {variant}"));
        self.program.pipelines.push(Pipeline {
            name: variant.to_string(),
            code: wgpu_shaders::source(variant).expect("found above"),
            constants: constants.iter().map(|&(n, v)| (n.to_string(), v)).collect(),
            bindings: kernels::bindings(shader.kernel).to_vec(),
        });
        self.pipelines.insert(key, self.program.pipelines.len() - 1);
        self.program.pipelines.len() - 1
    }

    /// Ends the list in hand; answers its index.
    pub fn finish_list(&mut self, name: &str) -> usize {
        let mut list = std::mem::take(&mut self.list);
        list.name = name.to_string();
        self.program.lists.push(list);
        self.program.lists.len() - 1
    }

    /// The parameter buffer and what it holds.
    pub fn finish(self) -> (usize, Vec<u8>) {
        let size = (self.params.len() as u64).max(PARAM_BYTES);
        self.program.buffers[self.params_buffer].size = size;
        (self.params_buffer, self.params)
    }
}
