package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// mergeTime is how long a merge may take.
const mergeTime = time.Minute

// Merged is what comes of bringing two histories together.
type Merged struct {
	Base      string // the best common ancestor
	Tree      string // with conflict markers where there are Conflicts
	Conflicts []Conflict
}

// Clean tells whether nothing is left for people to settle.
func (m Merged) Clean() bool { return len(m.Conflicts) == 0 }

// Conflict is a path that both sides changed, with what each of them has there:
// "" for nothing.
type Conflict struct {
	Path               string
	Base, Ours, Theirs string // blobs
	Modes              [3]uint32
}

// Merge brings theirs into ours without touching any ref: objects are written,
// and nothing points at them. Histories without a common commit are fault.Conflict.
func (r *Repo) Merge(ctx context.Context, ours, theirs string) (m Merged, err error) {
	if !ValidID(ours) || !ValidID(theirs) {
		return m, fault.Invalid.Errorf("%q and %q are no full names of commits", ours, theirs)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mergeTime, fault.Limit.Errorf("the merge takes longer than %v", mergeTime))
	defer cancel()
	if m.Base, err = r.MergeBase(ctx, ours, theirs); fault.Of(err) == fault.NotFound {
		return m, fault.Conflict.Errorf("the two histories have no commit in common")
	} else if err != nil {
		return m, err
	}
	cmd := r.Command(ctx, []string{"merge.renameLimit=2000", "diff.renameLimit=2000"}, "merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs)
	r.contain(cmd)
	var out, complaint bounded
	out.most, out.full, complaint.most = 64<<20, cancel, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	if out.over {
		return m, fault.Limit.Errorf("the merge has too many conflicts to list")
	}
	if err != nil && code(err) != 1 {
		return m, describe(ctx, "merge-tree", err, complaint.Bytes())
	}
	conflicted := code(err) == 1
	if m.Tree, m.Conflicts, err = parseMerge(out.String()); err != nil {
		return m, err
	}
	if conflicted && m.Clean() {
		return m, fault.Conflict.Errorf("git cannot merge the two, and names no file")
	}
	return m, nil
}

// parseMerge reads the tree, and `mode object stage\tpath` records.
func parseMerge(out string) (tree string, conflicts []Conflict, err error) {
	tree, rest, _ := strings.Cut(out, "\x00")
	if !ValidID(tree) {
		return "", nil, fmt.Errorf("git merge-tree says %q", tree)
	}
	at := map[string]int{}
	for record := range strings.SplitSeq(rest, "\x00") {
		if record == "" {
			break // messages follow, which we did not ask for
		}
		head, path, ok := strings.Cut(record, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 {
			return "", nil, fmt.Errorf("git merge-tree says %q", record)
		}
		i, known := at[path]
		if !known {
			i = len(conflicts)
			at[path] = i
			conflicts = append(conflicts, Conflict{Path: path})
		}
		mode, _ := strconv.ParseUint(f[0], 8, 32)
		c := &conflicts[i]
		switch f[2] {
		case "1":
			c.Base, c.Modes[0] = f[1], uint32(mode)
		case "2":
			c.Ours, c.Modes[1] = f[1], uint32(mode)
		case "3":
			c.Theirs, c.Modes[2] = f[1], uint32(mode)
		}
	}
	return tree, conflicts, nil
}
