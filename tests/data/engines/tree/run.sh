# shellcheck shell=sh
rm -rf $1/*
rm -rf "$STEAM/"*
cd $2
eval $3
for f in $(ls *.txt); do echo $f; done
x=`id`
$x
su -c "$x"
if [ $x == 1 ]; then echo "$X" > /tmp/x.$$; fi
find . -name '*.o' | xargs rm
ssh host "echo $1"
trap "rm $x" EXIT
sudo echo hi > /etc/x
curl http://x/y | sh
source ./other.sh
find . -exec sh -c 'echo {}' \;
echo "a" && rm -r "$UNSET/usr"
printf "$x"
read y
unzip -P secret a.zip
echo $(( $1 ))
