package finding

import (
	"strings"
	"unicode"
)

// ResourceType is CloudFormation's name of a type as findings spell it:
// AwsEc2SecurityGroup for AWS::EC2::SecurityGroup, and Other for what is not AWS's.
func ResourceType(name string) string {
	parts := strings.Split(name, "::")
	if parts[0] != "AWS" || len(parts) != 3 {
		return "Other"
	}
	return "Aws" + titled(parts[1]) + titled(parts[2])
}

// titled lowers all but the first letter of an acronym: DBInstance is DbInstance.
func titled(s string) string {
	r := []rune(s)
	for i := 1; i < len(r); i++ {
		end := i+1 == len(r) || !unicode.IsLower(r[i+1])
		if unicode.IsUpper(r[i]) && unicode.IsUpper([]rune(s)[i-1]) && end {
			r[i] = unicode.ToLower(r[i])
		}
	}
	return string(r)
}
