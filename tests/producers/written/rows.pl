# Writes the rows of row.py with JSON::PP and JSON::XS: one file each in the folder named by the argument.
use strict;
use warnings;
use JSON::PP ();
use JSON::XS ();

sub lines {
    my ($name, $writer, $text) = @_;
    open my $file, '>', "$ARGV[0]/$name.jsonl" or die $!;
    for my $k (0 .. 59) {
        my $infinity = $k % 2 ? 9**9**9 : -9**9**9;
        my %row = (
            i => $k % 5 == 2 ? $infinity : $k % 11,
            m => $k % 4 == 3 ? undef : $k % 13,
            n => $k % 3 == 1 ? -sin(9**9**9) : $k % 7,
            x => $k % 50 / 8,
            y => $k % 5 + $k % 50 / 8,
        );
        # Whatever was a text once, as all that a program has read, is one.
        %row = map { $_ => defined $row{$_} ? "$row{$_}" : undef } keys %row if $text;
        print $file $writer->encode(\%row), "\n";
    }
    close $file;
}
lines("rows/perl_pp", JSON::PP->new->canonical);
lines("rows/perl_xs", JSON::XS->new->canonical);
lines("rows/perl_text", JSON::XS->new->canonical, 1);
