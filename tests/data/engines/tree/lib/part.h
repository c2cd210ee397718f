#pragma once
int part(int n);
