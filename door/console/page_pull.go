package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// remark is a comment with the answers to it.
type remark struct {
	ID, Author, Text string
	At               time.Time
	Outdated         bool
	Deleted          bool
	Finding          bool
	FindingPath      string
	Where            string // the place that it is about, where the page does not show that
	Mine             bool
	Remove           string
	Replies          []remark
	Answer           *remarkForm
}

// remarkForm is where something is said.
type remarkForm struct {
	To    string
	Place source.Place
	Reply string
	Head  string
}

// vote is somebody's approval, and whether it counts.
type vote struct {
	Who    string
	Counts bool
	Why    string
	At     time.Time
}

// happening is a line of a pull request's story.
type happening struct {
	Who, Why string
	At       time.Time
	Code     string
}

type pullView struct {
	Row        pullRow
	Pull       source.Pull
	Text       string
	HeadPath   string
	Makers     []string
	Demands    []source.Demand
	Votes      []vote
	Checks     []source.Status
	Mergeable  bool
	Options    []string
	Overridden *source.Override
	Commits    []commitRow
	Diff       diffView
	Conflicts  []conflictView
	Alone, All string
	Talk       []remark // about the whole, or about what is not shown
	Say        *remarkForm
	Story      []happening
	Runs       string

	Approve, Revoke, Merge, Override, Close, Reopen bool
	Own                                             string // why whoever looks may not approve
	MergedPath                                      string
}

// askPull asks whether somebody may do something with the repository of the pull request that the address names.
func (o *Console) askPull(action string) func(r *request) []iam.Request {
	return func(r *request) []iam.Request {
		resource := ""
		if n, err := pullNumber(r); err == nil {
			if p, err := o.config.Source.Pull(r.Context(), n); err == nil {
				resource = o.config.Source.ARN(p.Repository)
			}
		}
		return r.ask("codecommit:"+action, resource)
	}
}

func pullNumber(r *request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return 0, fault.NotFound.Errorf("there is no pull request %q", r.PathValue("number"))
	}
	return n, nil
}

// mergeActions are what each way to merge is called as an action.
var mergeActions = map[source.Option]string{
	source.FastForward: "MergePullRequestByFastForward", source.Squash: "MergePullRequestBySquash", source.ThreeWay: "MergePullRequestByThreeWay",
}

func (o *Console) pull() page {
	with := func(do func(r *request, n int64) error) func(r *request) (string, error) {
		return func(r *request) (string, error) {
			n, err := pullNumber(r)
			if err == nil {
				err = do(r, n)
			}
			return pullPath(n), err
		}
	}
	form := func(r *request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	return page{
		name: "pull", path: pullsPath + "/{number}", under: "pulls", asks: o.askPull("GetPullRequest"), view: o.pullView,
		actions: map[string]action{
			pullsPath + "/{number}/say": {asks: o.askPull("PostCommentForPullRequest"), do: o.say},
			pullsPath + "/{number}/comments/{comment}/remove": {
				asks: func(r *request) []iam.Request { return o.askPull(o.removing(r))(r) },
				do: func(r *request) (string, error) {
					n, err := pullNumber(r)
					if err != nil {
						return "", err
					}
					// Leave was asked for this pull request: its comments alone are taken away here.
					if c, err := o.config.Source.Comment(r.Context(), r.PathValue("comment")); err != nil || c.Pull != n {
						return "", cmp.Or(err, error(fault.NotFound.Errorf("pull request %d has no such comment", n)))
					}
					_, err = o.config.Source.ChangeComment(r.Context(), r.PathValue("comment"), r.principal.ARN, "")
					return pullPath(n), err
				},
			},
			pullsPath + "/{number}/approve": {asks: o.askPull("UpdatePullRequestApprovalState"), do: with(func(r *request, n int64) error {
				return o.config.Source.Approve(r.Context(), n, form(r, "revision"), r.person(), form(r, "approve") != "no")
			})},
			pullsPath + "/{number}/override": {asks: o.askPull("OverridePullRequestApprovalRules"), do: with(func(r *request, n int64) error {
				hours, err := strconv.Atoi(cmp.Or(form(r, "hours"), "1"))
				if err != nil || hours < 0 {
					return fault.Invalid.Errorf("%q is no number of hours", form(r, "hours"))
				}
				return o.config.Source.LiftRules(r.Context(), n, form(r, "revision"), r.person(), form(r, "reason"), o.config.Now().Add(time.Duration(min(hours, 10_000))*time.Hour))
			})},
			pullsPath + "/{number}/merge": {
				asks: func(r *request) []iam.Request {
					return o.askPull(cmp.Or(mergeActions[source.Option(r.PostFormValue("option"))], "MergePullRequestByThreeWay"))(r)
				},
				do: with(func(r *request, n int64) error {
					option := source.Option(form(r, "option"))
					if mergeActions[option] == "" {
						return fault.Invalid.Errorf("choose how to merge")
					}
					_, err := o.config.Source.MergePull(r.Context(), n, source.Merging{Option: option, Head: form(r, "head"), By: r.person(), Message: form(r, "message")})
					return err
				}),
			},
			pullsPath + "/{number}/state": {asks: o.askPull("UpdatePullRequestStatus"), do: with(func(r *request, n int64) error {
				_, err := o.config.Source.SetState(r.Context(), n, r.principal.ARN, source.State(form(r, "state")))
				return err
			})},
		},
	}
}

// removing is what has to be allowed to take a comment away: less where it is one's own.
func (o *Console) removing(r *request) string {
	if c, err := o.config.Source.Comment(r.Context(), r.PathValue("comment")); err == nil && c.Author == r.principal.ARN {
		return "UpdateComment"
	}
	return "DeleteCommentContent"
}

// say keeps a comment, and goes back to where it stands.
func (o *Console) say(r *request) (string, error) {
	n, err := pullNumber(r)
	if err != nil {
		return "", err
	}
	p, err := o.config.Source.Pull(r.Context(), n)
	if err != nil {
		return "", err
	}
	c := source.Comment{Repository: p.Repository, Pull: n, Author: r.principal.ARN, Text: r.PostFormValue("text"), Reply: r.PostFormValue("reply")}
	if c.Reply == "" {
		line, err := r.number("line", 0, 0, 1<<31)
		if err != nil {
			return "", err
		}
		c.Place = source.Place{Path: r.PostFormValue("path"), Line: line, Side: r.PostFormValue("side")}
		c.Before, c.After = p.Revision.Base, cmp.Or(r.PostFormValue("head"), p.Revision.Head)
	}
	said, err := o.config.Source.Say(r.Context(), c)
	return pullPath(n) + "#c-" + said.ID, err
}

func (o *Console) pullView(r *request) (any, error) {
	n, err := pullNumber(r)
	if err != nil {
		return nil, err
	}
	p, err := o.config.Source.Pull(r.Context(), n)
	if err != nil {
		return nil, err
	}
	v := pullView{
		Row: pullRowOf(p), Pull: p, Text: p.Description, HeadPath: repositoryPath(p.Repository, "commits/"+p.Revision.Head), Alone: r.FormValue("file"), All: pullPath(n),
		Runs: "/runs?repository=" + p.Repository + "&branch=" + branchOf(p.Source), Overridden: p.Override,
		Close: p.State == source.Open && r.mayOn("codecommit:UpdatePullRequestStatus", o.config.Source.ARN(p.Repository)), Reopen: p.State == source.Closed && r.mayOn("codecommit:UpdatePullRequestStatus", o.config.Source.ARN(p.Repository)),
	}
	for _, m := range p.Revision.Makers {
		v.Makers = append(v.Makers, cmp.Or(m.Name, m.Email, who(m.ARN))+" ("+r.t(m.As)+")")
	}
	slices.Sort(v.Makers)
	v.Makers = slices.Compact(v.Makers)
	if p.Merge != nil {
		v.MergedPath = repositoryPath(p.Repository, "commits/"+p.Merge.Commit)
	}
	for _, step := range []func(*request, *pullView) error{o.pullJudged, o.pullConflicts, o.pullChanges, o.pullTalk, o.pullStory} {
		if err := step(r, &v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// pullJudged says what is asked for before it is merged, and what of it is there.
func (o *Console) pullJudged(r *request, v *pullView) (err error) {
	p := v.Pull
	if v.Checks, err = o.config.Source.Statuses(r.Context(), p.Repository, p.Revision.Head); err != nil {
		return err
	}
	approvals, err := o.config.Source.Approvals(r.Context(), p.Number, p.Revision.ID)
	if err != nil {
		return err
	}
	var judged source.Verdict
	if p.State == source.Open {
		if judged, err = o.config.Source.Judge(r.Context(), p.Number); err != nil {
			return err
		}
		v.Demands, v.Mergeable = judged.Demands, judged.Mergeable
	}
	mine := false
	for _, a := range approvals {
		if !a.Approved {
			continue
		}
		one := vote{Who: cmp.Or(a.Who.Name, who(a.Who.ARN)), At: a.At, Counts: slices.Contains(judged.Approvers, a.Who.ARN)}
		if p.State != source.Open { // who made it could not approve it
			one.Counts = !a.Who.Robot
		}
		for _, why := range judged.Ignored {
			if rest, ok := strings.CutPrefix(why, a.Who.ARN+" "); ok {
				one.Why = rest
			}
		}
		mine = mine || a.Who.ARN == r.principal.ARN
		v.Votes = append(v.Votes, one)
	}
	if p.State != source.Open {
		return nil
	}
	if r.mayOn("codecommit:UpdatePullRequestApprovalState", o.config.Source.ARN(p.Repository)) {
		v.Revoke, v.Approve = mine, !mine
		for _, m := range p.Revision.Makers {
			if m.ARN == r.principal.ARN && m.ARN != "" {
				v.Approve, v.Own = false, r.t("You had a hand in it (%s): others approve it.", r.t(m.As))
			}
		}
		if p.Author.ARN == r.principal.ARN && v.Own == "" {
			v.Approve, v.Own = false, r.t("You opened it: others approve it.")
		}
	}
	v.Override = !v.Mergeable && p.Override == nil && r.mayOn("codecommit:OverridePullRequestApprovalRules", o.config.Source.ARN(p.Repository))
	if v.Mergeable && p.Revision.Clean() {
		_, options, err := o.config.Source.Options(r.Context(), p.Repository, p.Revision.Target, p.Revision.Head)
		if err != nil {
			return err
		}
		for _, option := range options {
			if r.mayOn("codecommit:"+mergeActions[option], o.config.Source.ARN(p.Repository)) {
				v.Options, v.Merge = append(v.Options, string(option)), true
			}
		}
	}
	return nil
}

// pullConflicts says where people must settle what both sides changed.
func (o *Console) pullConflicts(r *request, v *pullView) error {
	all, err := o.config.Source.Conflicts(r.Context(), v.Pull, conflictFiles)
	v.Conflicts = conflictsOf(all)
	return err
}

func (o *Console) pullChanges(r *request, v *pullView) error {
	p := v.Pull
	commits, err := o.config.Source.PullCommits(r.Context(), p, commitsPage)
	if err != nil {
		return err
	}
	if v.Commits, err = o.commitRows(r, p.Repository, commits); err != nil {
		return err
	}
	files, more, err := o.config.Source.PullDiff(r.Context(), p, diffs(v.Alone))
	if err != nil {
		return err
	}
	v.Diff = diffOf(files, more, p.Repository, p.Revision.Head, func(path string) string {
		return logPath(pullPath(p.Number), "", 0, "file", path)
	})
	return o.pullNotices(r, v)
}

// pullNotices adds what there is to look at twice beyond what the page shows.
func (o *Console) pullNotices(r *request, v *pullView) error {
	all, err := o.config.Source.PullNotices(r.Context(), v.Pull)
	for _, n := range all {
		if !slices.ContainsFunc(v.Diff.Notices, func(d diffNotice) bool { return d.Notice == n }) {
			to := "#diff"
			if n.Path != "" {
				to = logPath(pullPath(v.Pull.Number), "", 0, "file", n.Path) + to
			}
			v.Diff.Notices = append(v.Diff.Notices, diffNotice{n, to})
		}
	}
	return err
}

// pullTalk puts what was said where it was said, or beside.
func (o *Console) pullTalk(r *request, v *pullView) error {
	p := v.Pull
	said, err := o.config.Source.PullComments(r.Context(), p.Number)
	if err != nil {
		return err
	}
	may := r.mayOn("codecommit:PostCommentForPullRequest", o.config.Source.ARN(p.Repository))
	form := func(f remarkForm) *remarkForm {
		if !may {
			return nil
		}
		f.To, f.Head = pullPath(p.Number)+"/say", p.Revision.Head
		return &f
	}
	v.Say = form(remarkForm{})
	places := map[source.Place]*[]remark{}
	for i := range v.Diff.Files {
		f := &v.Diff.Files[i]
		for _, side := range []string{"", source.SideBefore, source.SideAfter} {
			places[source.Place{Path: f.Path, Side: side}] = &f.Said
		}
		for j := range f.Rows {
			row := &f.Rows[j]
			place := source.Place{Path: f.Path, Line: row.New, Side: source.SideAfter}
			if row.New == 0 {
				place.Line, place.Side = row.Old, source.SideBefore
			}
			if place.Line == 0 {
				continue
			}
			places[place] = &row.Said
			if row.New > 0 && row.Old > 0 {
				places[source.Place{Path: f.Path, Line: row.Old, Side: source.SideBefore}] = &row.Said
			}
			if may {
				row.To = logPath(pullPath(p.Number), "", 0, "say", row.ID) + "#" + row.ID
				if v.Alone != "" {
					row.To = logPath(pullPath(p.Number), "", 0, "file", v.Alone, "say", row.ID) + "#" + row.ID
				}
			}
			if r.FormValue("say") == row.ID {
				row.Form = form(remarkForm{Place: place})
			}
		}
	}
	for _, c := range said {
		if c.Reply != "" {
			continue
		}
		one := o.remark(r, p, c, said, form)
		if to := places[c.Place]; to != nil && c.Place.Path != "" && !c.Outdated(p) {
			one.Where = ""
			*to = append(*to, one)
			continue
		}
		v.Talk = append(v.Talk, one)
	}
	return nil
}

// remark is a comment with its answers, as deep as they go.
func (o *Console) remark(r *request, p source.Pull, c source.Comment, all []source.Comment, form func(remarkForm) *remarkForm) remark {
	one := remark{
		ID: c.ID, Author: who(c.Author), Text: c.Text, At: c.Created, Outdated: c.Outdated(p), Deleted: c.Deleted, Finding: c.Finding != "",
		Mine: c.Author == r.principal.ARN && !c.Deleted, Remove: pullPath(p.Number) + "/comments/" + c.ID + "/remove", Answer: form(remarkForm{Reply: c.ID}),
	}
	if c.Finding != "" {
		one.FindingPath = o.ownPath(c.Finding)
	}
	if c.Place.Path != "" {
		if one.Where = c.Place.Path; c.Place.Line > 0 {
			one.Where += ":" + strconv.Itoa(c.Place.Line)
		}
	}
	for _, answer := range all {
		if answer.Reply == c.ID && answer.ID != c.ID {
			one.Replies = append(one.Replies, o.remark(r, p, answer, all, form))
		}
	}
	return one
}

func (o *Console) pullStory(r *request, v *pullView) error {
	story, err := o.config.Source.Story(r.Context(), v.Pull.Number)
	for i := len(story) - 1; i >= 0 && len(v.Story) < 100; i-- {
		h := story[i]
		one := happening{Who: who(h.Who), At: h.At, Why: h.Why, Code: h.Type}
		switch {
		case h.Verdict != "":
			one.Code = h.Verdict
		case h.State != "":
			one.Code = string(h.State)
		case h.Rule != "":
			one.Why = cmp.Or(one.Why, h.Rule)
		}
		v.Story = append(v.Story, one)
	}
	return err
}
