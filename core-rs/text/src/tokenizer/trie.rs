//! Token texts as a tree of bytes, to find the tokens a text starts with in one pass.

/// The children of a node lie in a row, by byte.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    first_child: u32,
    n_children: u16,
    byte: u8,
    token: u32,
}

const NO_TOKEN: u32 = u32::MAX;

impl Trie {
    /// Of the tokens whose index `keep` accepts; of equal texts the last counts, empty ones do not.
    pub(super) fn new(texts: &[Vec<u8>], keep: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<u32> = (0..texts.len() as u32)
            .filter(|&i| keep(i as usize))
            .collect();
        order.sort_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
        let text = |i: u32| texts[i as usize].as_slice();
        let mut nodes = vec![Node::new(0)];
        // Range of `order` for each node; all its texts share their first `depth` bytes.
        let mut ranges = vec![(0, order.len(), 0)];
        let mut at = 0;
        while let Some(&(mut start, end, depth)) = ranges.get(at) {
            while start < end && text(order[start]).len() == depth {
                nodes[at].token = if depth > 0 { order[start] } else { NO_TOKEN };
                start += 1;
            }
            nodes[at].first_child = nodes.len() as u32;
            while start < end {
                let byte = text(order[start])[depth];
                let same = order[start..end].partition_point(|&i| text(i)[depth] <= byte);
                nodes.push(Node::new(byte));
                ranges.push((start, start + same, depth + 1));
                nodes[at].n_children += 1;
                start += same;
            }
            at += 1;
        }
        Self { nodes }
    }

    /// Length and id of the longest token that `text` starts with.
    pub(super) fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut found = None;
        self.each(text, |n, token| found = Some((n, token)));
        found
    }

    /// Calls `take` with length and id of each token that `text` starts with, short ones first.
    pub(super) fn each(&self, text: &[u8], mut take: impl FnMut(usize, u32)) {
        let mut node = self.nodes[0];
        for (i, &byte) in text.iter().enumerate() {
            let first = node.first_child as usize;
            let children = &self.nodes[first..first + node.n_children as usize];
            let at = match children.len() {
                256 => Ok(byte as usize),
                _ => children.binary_search_by_key(&byte, |child| child.byte),
            };
            let Ok(at) = at else { break };
            node = children[at];
            if node.token != NO_TOKEN {
                take(i + 1, node.token);
            }
        }
    }
}

impl Node {
    fn new(byte: u8) -> Self {
        Self {
            first_child: 0,
            n_children: 0,
            byte,
            token: NO_TOKEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_longest_and_the_last_of_equal_ones() {
        let texts: Vec<Vec<u8>> = ["a", "abc", "", "b", "abc"].map(Vec::from).to_vec();
        let trie = Trie::new(&texts, |_| true);
        assert_eq!(trie.longest(b"abcd"), Some((3, 4)));
        assert_eq!(trie.longest(b"abd"), Some((1, 0)));
        assert_eq!(trie.longest(b"c"), None);
        assert_eq!(Trie::new(&texts, |i| i == 2).longest(b"a"), None);
    }
}
