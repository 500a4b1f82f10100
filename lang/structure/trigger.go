package structure

import "slices"

// Pushed is a push of one ref, as filters see it.
type Pushed struct {
	Branch string // or
	Tag    string
	// Files are the paths that it changed. It is asked for once at most, and only where a filter wants to know.
	Files func() ([]string, error)
}

// Pulled is what happened to a pull request, as filters see it.
type Pulled struct {
	Event  string // Opened, Updated, Closed or Merged
	Branch string // that it is to be merged into
	Files  func() ([]string, error)
}

// OnPush tells whether a push starts a run of a pipeline. own is the branch that its
// source action names, or "" for any: where there are no triggers, that is what starts it.
func (p *Pipeline) OnPush(source Action, e Pushed) (bool, error) {
	of := p.triggersOf(source.Name)
	if len(of) == 0 {
		branch := source.Configuration["BranchName"]
		detect := source.Configuration["PollForSourceChanges"] != "false" && source.Configuration["DetectChanges"] != "false"
		return detect && len(p.Triggers) == 0 && e.Branch != "" && (branch == "" || branch == e.Branch), nil
	}
	files := once(e.Files)
	for _, g := range of {
		if len(g.Push) == 0 && len(g.Pull) == 0 { // it says no more than that
			return e.Branch != "", nil
		}
		for _, f := range g.Push {
			if ok, err := f.lets(e, files); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func (f Push) lets(e Pushed, files func() ([]string, error)) (bool, error) {
	if e.Tag != "" {
		return f.Tags != nil && f.Tags.Match(e.Tag), nil
	}
	if f.Tags != nil || !f.Branches.Match(e.Branch) {
		return false, nil
	}
	return letsFiles(f.Files, files)
}

func letsFiles(f *Filter, files func() ([]string, error)) (bool, error) {
	if f == nil {
		return true, nil
	}
	names, err := files()
	return err == nil && f.any(names), err
}

// OnPull tells whether what happened to a pull request starts a run.
func (p *Pipeline) OnPull(source Action, e Pulled) (bool, error) {
	files := once(e.Files)
	for _, g := range p.triggersOf(source.Name) {
		for _, f := range g.Pull {
			if !f.means(e.Event) || !f.Branches.Match(e.Branch) {
				continue
			}
			if ok, err := letsFiles(f.Files, files); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

// WantsPulls tells whether pull requests start runs of a pipeline by filters of their own.
func (p *Pipeline) WantsPulls(source Action) bool {
	return slices.ContainsFunc(p.triggersOf(source.Name), func(g Git) bool { return len(g.Pull) > 0 })
}

// means tells whether a filter is about what happened. A merged pull request is a closed one.
func (f PullRequest) means(event string) bool {
	return len(f.Events) == 0 || slices.Contains(f.Events, event) || event == Merged && slices.Contains(f.Events, Closed)
}

func (p *Pipeline) triggersOf(source string) (all []Git) {
	for _, t := range p.Triggers {
		if t.Git.Source == source {
			all = append(all, t.Git)
		}
	}
	return all
}

func once(files func() ([]string, error)) func() ([]string, error) {
	var names []string
	var err error
	asked := false
	return func() ([]string, error) {
		if !asked && files != nil {
			names, err = files()
		}
		asked = true
		return names, err
	}
}
