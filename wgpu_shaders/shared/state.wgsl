// The state buffer: a head of 16 vec4 (see run.wgsl), then two vec4 a token.

fn token_id(t: u32) -> u32 { return state[16u + 2u * t].x; }
fn token_pos(t: u32) -> i32 { return bitcast<i32>(state[16u + 2u * t].y); }
fn token_seq(t: u32) -> u32 { return state[16u + 2u * t].z; }
fn token_cell(t: u32) -> u32 { return state[16u + 2u * t].w; }
// The token whose row is output `r`.
fn output_token(r: u32) -> u32 { return state[17u + 2u * r].x; }
