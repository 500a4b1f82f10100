package git

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// Bounds of what is kept to know the paths of a pack's blobs.
const (
	mostTrees  = 32 << 20 // bytes of trees that are not in any other yet
	mostPaths  = 64 << 20 // of paths
	deepest    = 100      // folders within folders
	longestWay = 4096     // bytes of a path
)

// places are where the blobs of a pack are, by the trees before them. Git packs what a tree holds after it.
type places struct {
	folders map[string]string // where trees are
	waiting map[string][]byte // trees of which that is not known yet
	paths   map[string]string // by blob
	trees   int               // bytes of waiting
	bytes   int               // of the others
}

func newPlaces() places {
	return places{folders: map[string]string{}, waiting: map[string][]byte{}, paths: map[string]string{}}
}

func (p *places) commit(content []byte) {
	line, _, _ := strings.Cut(string(content[:min(len(content), 80)]), "\n")
	if root, ok := strings.CutPrefix(line, "tree "); ok {
		p.folder(root, "", 0)
	}
}

func (p *places) tree(id string, content []byte) {
	if folder, ok := p.folders[id]; ok {
		p.visit(content, folder, 0)
	} else if p.trees+len(content) <= mostTrees {
		p.waiting[id] = content
		p.trees += len(content) + 100
	}
}

// folder says where a tree is, unless it is somewhere already.
func (p *places) folder(id, path string, depth int) {
	if _, ok := p.folders[id]; ok {
		return
	}
	p.folders[id] = path
	p.bytes += len(path) + 150
	if content, ok := p.waiting[id]; ok {
		delete(p.waiting, id)
		p.trees -= len(content) + 100
		p.visit(content, path, depth)
	}
}

// visit says where that is which a tree holds.
func (p *places) visit(tree []byte, folder string, depth int) {
	for len(tree) > 0 && depth < deepest {
		head, after, ok := bytes.Cut(tree, []byte{0})
		if !ok || len(after) < 20 {
			return
		}
		tree = after[20:]
		mode, name, _ := strings.Cut(string(head), " ")
		if len(folder)+len(name) > longestWay || p.bytes > mostPaths {
			continue
		}
		child, path := hex.EncodeToString(after[:20]), folder+name
		switch {
		case mode == "40000":
			p.folder(child, path+"/", depth+1)
		case mode != "160000": // of several places it is the last until it comes: git packs it after its first
			p.paths[child] = path
			p.bytes += len(path) + 150
		}
	}
}
