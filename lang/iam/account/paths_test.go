package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// All 65 ways are found where exactly what they need is there, and are not
// where one permission of it is missing.
func TestPaths(t *testing.T) {
	all := paths()
	if len(all) != 65 {
		t.Errorf("%d ways", len(all))
	}
	count := map[category]int{}
	for i := range all {
		way := &all[i]
		count[way.category]++
		if !found(t, way, "") {
			t.Errorf("%s is not found", way.id)
		}
		for _, n := range way.needs {
			if found(t, way, n.action) {
				t.Errorf("%s is found without %s", way.id, n.action)
			}
		}
	}
	if count[selfEscalation] != 8 || count[principalAccess] != 14 || count[newPassRole] != 27 || count[existingPassRole] != 16 {
		t.Errorf("%v", count)
	}
}

// found tells whether somebody with what a way needs, but for one permission,
// can take it to an administrator that it could lead to.
func found(t *testing.T, way *path, without string) bool {
	t.Helper()
	var actions []string
	role := false
	for _, n := range way.needs {
		role = role || n.on == ownRole
		if n.action != without {
			actions = append(actions, fmt.Sprintf("%q", n.action))
		}
	}
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["x:Nothing",` + strings.Join(actions, ",") + `],"Resource":"*"}}`
	policy = strings.ReplaceAll(policy, ",]", "]")
	trust := func(principal string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}}`
	}
	const admin = `"AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}]`
	attached := `"AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::1:policy/own"}]`
	users := []string{`{"UserName":"t","Arn":"arn:aws:iam::1:user/t",` + admin + `}`}
	roles := []string{`{"RoleName":"t","Arn":"arn:aws:iam::1:role/t","InstanceProfileList":[{}],"AssumeRolePolicyDocument":` + trust(`{"AWS":"1"}`) + `,"AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::aws:policy/AdministratorAccess"},{"PolicyArn":"arn:aws:iam::1:policy/its"}]}`}
	if way.service != "" {
		roles[0] = strings.Replace(roles[0], `{"AWS":"1"}`, `{"Service":"`+way.service+`"}`, 1)
	} else {
		roles[0] = strings.Replace(roles[0], `{"AWS":"1"}`, `{"AWS":"arn:aws:iam::1:root"}`, 1)
	}
	if role {
		roles = append(roles, `{"RoleName":"p","Arn":"arn:aws:iam::1:role/p","AssumeRolePolicyDocument":`+trust(`{"Service":"none.amazonaws.com"}`)+`,`+attached+`}`)
	} else {
		users = append(users, `{"UserName":"p","Arn":"arn:aws:iam::1:user/p","GroupList":["mine"],`+attached+`}`)
	}
	text := fmt.Sprintf(`{"UserDetailList":[%s],"RoleDetailList":[%s],"GroupDetailList":[{"GroupName":"mine","Arn":"arn:aws:iam::1:group/mine"},{"GroupName":"strong","Arn":"arn:aws:iam::1:group/strong",%s}],"Policies":[`+
		`{"Arn":"arn:aws:iam::1:policy/own","PolicyVersionList":[{"IsDefaultVersion":true,"Document":%s}]},{"Arn":"arn:aws:iam::1:policy/its","PolicyVersionList":[{"IsDefaultVersion":true,"Document":{"Statement":[]}}]}]}`,
		strings.Join(users, ","), strings.Join(roles, ","), admin, policy)
	a, err := Parse("s", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(a, []path{*way})
	i := slices.IndexFunc(a.Principals, func(p *Principal) bool { return p.Name == "p" })
	return len(g.from(a.Principals[i])) > 0
}
