package iam

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// A globalKey is one of the condition keys that all services have.
type globalKey struct {
	name string
	kind keyKind
}

type keyKind int

const (
	oneText keyKind = iota
	manyTexts
	anAddress
	aTime
	ofTag // the key ends in a name of the policy's own
)

// globals are the condition keys that begin with aws:.
var globals = []globalKey{
	{"aws:AssumedRoot", oneText}, {"aws:CalledVia", manyTexts}, {"aws:CalledViaFirst", oneText}, {"aws:CalledViaLast", oneText}, {"aws:ChatbotSourceArn", oneText},
	{"aws:CurrentTime", aTime}, {"aws:Ec2InstanceSourcePrivateIPv4", anAddress}, {"aws:Ec2InstanceSourceVpc", oneText}, {"aws:EpochTime", aTime},
	{"aws:FederatedProvider", oneText}, {"aws:MultiFactorAuthAge", oneText}, {"aws:MultiFactorAuthPresent", oneText}, {"aws:PrincipalAccount", oneText},
	{"aws:PrincipalArn", oneText}, {"aws:PrincipalIsAWSService", oneText}, {"aws:PrincipalOrgID", oneText}, {"aws:PrincipalOrgPaths", manyTexts},
	{"aws:PrincipalServiceName", oneText}, {"aws:PrincipalServiceNamesList", manyTexts}, {"aws:PrincipalTag/", ofTag}, {"aws:PrincipalType", oneText},
	{"aws:Referer", oneText}, {"aws:RequestedRegion", oneText}, {"aws:RequestTag/", ofTag}, {"aws:ResourceAccount", oneText}, {"aws:ResourceOrgID", oneText},
	{"aws:ResourceOrgPaths", manyTexts}, {"aws:ResourceTag/", ofTag}, {"aws:SecureTransport", oneText}, {"aws:SourceAccount", oneText}, {"aws:SourceArn", oneText},
	{"aws:SourceIdentity", oneText}, {"aws:SourceIp", anAddress}, {"aws:SourceOrgID", oneText}, {"aws:SourceOrgPaths", manyTexts}, {"aws:SourceOwner", oneText},
	{"aws:SourceVpc", oneText}, {"aws:SourceVpcArn", oneText}, {"aws:SourceVpce", oneText}, {"aws:TagKeys", manyTexts}, {"aws:TokenIssueTime", aTime},
	{"aws:UserAgent", oneText}, {"aws:userid", oneText}, {"aws:username", oneText}, {"aws:ViaAWSService", oneText}, {"aws:VpceAccount", oneText}, {"aws:VpceOrgID", oneText},
	{"aws:VpceOrgPaths", manyTexts}, {"aws:VpcSourceIp", anAddress},
}

// is tells whether a key, in lower case, is the global one.
func (g globalKey) is(key string) bool {
	name := strings.ToLower(g.name)
	return key == name || g.kind == ofTag && strings.HasPrefix(key, name) && len(key) > len(name)
}

// key is what is odd about the key of a condition, and how it is compared.
func (c *checker) key(one *condition) {
	i := slices.IndexFunc(globals, func(g globalKey) bool { return g.is(one.key) })
	switch {
	case i < 0 && !strings.Contains(one.key, ":"):
		c.say(Warning, "key", one.at, "service:key, or aws:key for those that all services have", "no request has the key %q", one.spelled)
		return
	case i < 0 && strings.HasPrefix(one.key, "aws:"):
		var names []string
		for _, g := range globals {
			names = append(names, g.name)
		}
		c.say(Warning, "key", one.at, diag.DidYouMean(one.spelled, names), "%s is none of the keys that all services have", one.spelled)
		return
	case i < 0 || one.operator.null:
		return
	}
	family := one.operator.family.of
	switch kind := globals[i].kind; {
	case kind == manyTexts && one.operator.set == "":
		c.say(Warning, "list", one.at, "ForAnyValue: or ForAllValues:", "%s is a list: where it has several values, this does not hold", one.spelled)
	case kind == anAddress && family != "an address":
		c.say(Warning, "key-type", one.at, "IpAddress", "%s is an address, and is compared here as %s", one.spelled, family)
	case kind == aTime && family != "a date" && family != "a number":
		c.say(Warning, "key-type", one.at, "DateLessThan and the like", "%s is a time, and is compared here as %s", one.spelled, family)
	}
}
